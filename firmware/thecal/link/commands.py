"""The one table of commands: name, role that may give it, what it changes and when, and its arguments.

Code, tests and documentation read this table. Arguments are whole numbers below 2^30, objects or texts;
`session` checks them before the command is seen by anyone. Every command may carry `id` (a whole number) and
`run` (a text of eight hex digits, 31 bits that a client draws when it starts); both are echoed in the reply.
Together they are the ID of a command: one that changes something must have one, and is carried out once
(REC-03); a stop needs none and always acts. One that changes something may carry `at_tick`, the tick at
which it is to take effect, and `boot`, the number of the boot that it is for, as `hello` tells it: in another
one it does nothing, so it need not be written down before it acts.
"""

from ..smallint import LARGEST
from ..table import Table
from .frame import WORK_A_TICK

# Roles, each may do what the ones before it may.
ROLES = ("observer", "patient", "clinician", "service")
OBSERVER, PATIENT, CLINICIAN, SERVICE = range(4)

# What a command changes: nothing, something at once, or the flow, which takes effect at the end of the tick
# in which it is carried out. The numbers are the ticks by which it is carried out early to take effect at
# `at_tick`.
CHANGES = ("reads", "at once", "flow")
READS, AT_ONCE, FLOW = -1, 0, 1

# What carrying it out takes of `frame.WORK_A_TICK`: of most no more than their answer; after those that take
# longer the rest waits for the next tick.
ANSWER_WORK = 3
LONG_WORK = WORK_A_TICK
GOING_ON_WORK = WORK_A_TICK - 32  # of each tick in which an earlier command is still carried out


STOP = "stop"
CANCEL = "cancel"
CONFIRM = "confirm"
# About what is proposed: these wait while a proposal is still being looked at.
ABOUT_PROPOSALS = ("program", "library", "refill", "begin_anew", "rig", "confirm", "reset_keys")

RUN_DIGITS = 8

# Arguments that are not whole numbers: `run` and `of_run` are texts of their own kind.
OBJECTS = ("therapy", "part", "rig", "keys")
TEXTS = ("digest", "stream")
LISTS = ("accept",)  # of texts


class Command:
    """One row: `needs` and `may` name the arguments, `traits` what else is to be known. One that is `long`
    takes LONG_WORK. One that `moves` may start the motor: it is refused while the STOP button is held down.
    One that only `proposes` need not be written down before it acts: a confirmation is still to come. One
    that `needs_rig` is refused on a board without one.
    """

    def __init__(self, name, role, changes, needs=(), may=(), traits=()):
        self.name = name
        self.role = ROLES.index(role)
        self.changes = CHANGES.index(changes) - 1
        self.needs = needs
        self.may = may
        self.is_large = any([key in OBJECTS for key in needs + may])
        self.work = LONG_WORK if "long" in traits else ANSWER_WORK
        self.moves = "moves" in traits
        self.proposes = "proposes" in traits
        self.needs_rig = "needs_rig" in traits


COMMANDS = Table(
    Command,
    (
        ("hello", "observer", "reads"),
        ("status", "observer", "reads"),
        ("program", "clinician", "at once", (), ("therapy", "part"), ("long", "proposes", "needs_rig")),
        ("library", "clinician", "at once", ("part",), (), ("long", "proposes")),
        ("confirm", "clinician", "flow", ("digest",), ("accept",), ("long",)),
        ("start", "clinician", "flow", (), (), ("moves", "needs_rig")),
        ("stop", "patient", "at once"),
        ("acknowledge", "clinician", "at once", (), (), ("moves",)),  # it may draw a line back
        ("audio_pause", "patient", "at once"),
        ("alarms", "observer", "reads"),
        ("bolus", "clinician", "flow", ("volume_nl", "duration_ms"), ("accept",), ("moves", "needs_rig")),
        ("patient_bolus", "patient", "flow", (), (), ("moves", "needs_rig")),
        ("refill", "clinician", "at once", ("volume_nl",), (), ("proposes",)),
        ("begin_anew", "clinician", "at once", (), (), ("proposes",)),
        ("prime", "clinician", "flow", ("volume_nl",), (), ("moves", "needs_rig")),
        ("attempts", "clinician", "reads"),
        ("therapy", "observer", "reads", (), ("number", "from"), ("long",)),
        ("set_time", "clinician", "flow", ("week_s",)),
        ("log", "observer", "reads", ("stream", "from"), (), ("long",)),
        ("outcome", "observer", "reads", ("of_run", "of"), ("of_boot",)),
        ("held", "observer", "reads"),
        ("cancel", "clinician", "at once", (), ("number", "of_run", "of")),
        ("new_line", "clinician", "at once", (), (), ("proposes",)),
        ("readback", "clinician", "reads", ("from",), (), ("long",)),
        ("probe", "service", "reads"),
        ("disconnected", "service", "at once", (), (), ("proposes",)),
        ("jog", "service", "flow", ("steps", "rate_nl_h"), (), ("moves", "needs_rig")),
        ("rig", "service", "at once", ("rig",), (), ("long", "proposes")),
        ("rig_kept", "observer", "reads", (), ("number",), ("long",)),
        ("pair", "service", "at once", ("keys",)),
        ("keys", "service", "at once", ("keys",)),
        ("reset_keys", "observer", "at once", (), (), ("proposes",)),  # by a hand at the pump: the jumper
    ),
)


def find(name: str):
    """The row of a command, or None."""
    row = COMMANDS.find(name)
    return COMMANDS[row] if row >= 0 else None


def changes_of(request: dict):
    """What a request that names a command of the table changes."""
    command = find(request["cmd"])
    return command.changes if command else READS


def problem_with(command, request: dict) -> str:
    """What is wrong with the arguments of `request`, as a text; empty if nothing."""
    allowed = ("cmd", "id", "run")
    if command.changes != READS:
        allowed = (
            ("cmd", "id", "run", "boot", "at_tick")
            if command.name != CANCEL
            else ("cmd", "id", "run", "boot")
        )
    for key in request:
        if key not in allowed and key not in command.needs + command.may:
            return "%s: unknown argument" % key[:24]
    for key in command.needs:
        if key not in request:
            return "%s: missing" % key
    for key in request:
        value = request[key]
        if key == "cmd":
            continue
        if key in ("run", "of_run"):
            if not is_run(value):
                return "%s: must be a text of 8 hex digits, 00000000 to 7fffffff" % key
            continue
        if key in OBJECTS:
            if not isinstance(value, dict):
                return "%s: must be an object" % key
        elif key in LISTS:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                return "%s: must be a list of texts" % key
        elif key in TEXTS:
            if not isinstance(value, str):
                return "%s: must be a text" % key
        elif type(value) is not int or not 0 <= value <= LARGEST:
            return "%s: must be a whole number from 0 to %d" % (key, LARGEST)
    return ""


def is_run(value):
    """Whether `value` is 31 bits as eight hex digits."""
    return (
        isinstance(value, str)
        and len(value) == RUN_DIGITS
        and value[0] in "01234567"
        and all(digit in "0123456789abcdef" for digit in value)
    )
