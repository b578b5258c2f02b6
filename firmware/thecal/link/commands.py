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
from .frame import WORK_A_TICK

# Roles, each may do what the ones before it may.
OBSERVER, PATIENT, CLINICIAN, SERVICE = range(4)
ROLES = ("observer", "patient", "clinician", "service")

# What a command changes: nothing, something at once, or the flow, which takes effect at the end of the tick
# in which it is carried out. The numbers are the ticks by which it is carried out early to take effect at
# `at_tick`.
READS, AT_ONCE, FLOW = -1, 0, 1

# What carrying it out takes of `frame.WORK_A_TICK`: of most no more than their answer; after those that take
# longer the rest waits for the next tick.
ANSWER_WORK = 3
LONG_WORK = WORK_A_TICK
GOING_ON_WORK = WORK_A_TICK - 32  # of each tick in which an earlier command is still carried out


STOP = "stop"
CANCEL = "cancel"
# About what is proposed: these wait while a proposal is still being looked at.
ABOUT_PROPOSALS = ("program", "library", "refill", "begin_anew", "rig", "confirm")

RUN_DIGITS = 8


class Command:
    """One row: `needs` and `may` name the arguments; `objects`, `texts` and `lists` (of texts) are those of
    them that are not numbers. `work`: ANSWER_WORK or LONG_WORK. One that `moves` may start the motor: it is
    refused while the STOP button is held down. One that only `proposes` need not be written down before it
    acts: a confirmation is still to come. One that `needs_rig` is refused on a board without one.
    """

    def __init__(
        self,
        name,
        role,
        changes,
        needs=(),
        may=(),
        objects=(),
        texts=(),
        lists=(),
        work=ANSWER_WORK,
        moves=False,
        proposes=False,
        needs_rig=False,
    ):
        self.name = name
        self.work = work
        self.role = role
        self.changes = changes
        self.needs = needs
        self.may = may
        self.objects = objects
        self.texts = texts
        self.lists = lists
        self.moves = moves
        self.proposes = proposes
        self.needs_rig = needs_rig


COMMANDS = (
    Command("hello", OBSERVER, READS),
    Command("status", OBSERVER, READS),
    Command(
        "program",
        CLINICIAN,
        AT_ONCE,
        may=("therapy", "part"),
        objects=("therapy", "part"),
        work=LONG_WORK,
        proposes=True,
        needs_rig=True,
    ),
    Command("library", CLINICIAN, AT_ONCE, needs=("part",), objects=("part",), work=LONG_WORK, proposes=True),
    Command(
        "confirm",
        CLINICIAN,
        FLOW,
        needs=("digest",),
        may=("accept",),
        texts=("digest",),
        lists=("accept",),
        work=LONG_WORK,
    ),
    Command("start", CLINICIAN, FLOW, moves=True, needs_rig=True),
    Command(STOP, PATIENT, AT_ONCE),
    Command("acknowledge", CLINICIAN, AT_ONCE, moves=True),  # it may draw a line back
    Command("audio_pause", PATIENT, AT_ONCE),
    Command("alarms", OBSERVER, READS),
    Command(
        "bolus",
        CLINICIAN,
        FLOW,
        needs=("volume_nl", "duration_ms"),
        may=("accept",),
        lists=("accept",),
        moves=True,
        needs_rig=True,
    ),
    Command("patient_bolus", PATIENT, FLOW, moves=True, needs_rig=True),
    Command("refill", CLINICIAN, AT_ONCE, needs=("volume_nl",), proposes=True),
    Command("begin_anew", CLINICIAN, AT_ONCE, proposes=True),
    Command("prime", CLINICIAN, FLOW, needs=("volume_nl",), moves=True, needs_rig=True),
    Command("attempts", CLINICIAN, READS),
    Command("therapy", OBSERVER, READS, may=("number", "from"), work=LONG_WORK),
    Command("set_time", CLINICIAN, FLOW, needs=("week_s",)),
    Command("log", OBSERVER, READS, needs=("stream", "from"), texts=("stream",), work=LONG_WORK),
    Command("outcome", OBSERVER, READS, needs=("of_run", "of"), may=("of_boot",), texts=("of_run",)),
    Command("held", OBSERVER, READS),
    Command(CANCEL, CLINICIAN, AT_ONCE, may=("number", "of_run", "of"), texts=("of_run",)),
    Command("new_line", CLINICIAN, AT_ONCE, proposes=True),
    Command("readback", CLINICIAN, READS, needs=("from",), work=LONG_WORK),
    Command("probe", SERVICE, READS),
    Command("disconnected", SERVICE, AT_ONCE, proposes=True),
    Command("jog", SERVICE, FLOW, needs=("steps", "rate_nl_h"), moves=True, needs_rig=True),
    Command("rig", SERVICE, AT_ONCE, needs=("rig",), objects=("rig",), work=LONG_WORK, proposes=True),
    Command("rig_kept", OBSERVER, READS, may=("number",), work=LONG_WORK),
)


def find(name: str):
    """The row of a command, or None."""
    for command in COMMANDS:
        if command.name == name:
            return command
    return None


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
        if key in command.objects:
            if not isinstance(value, dict):
                return "%s: must be an object" % key
        elif key in command.lists:
            if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
                return "%s: must be a list of texts" % key
        elif key in command.texts:
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


def row_of(name: str):
    """The number of a command's row, -1 where there is none: what the log and the outcomes say."""
    for index in range(len(COMMANDS)):
        if COMMANDS[index].name == name:
            return index
    return -1
