"""The one table of commands: name, role that may give it, what it changes and when, and its arguments.

Code, tests and documentation read this table. Arguments are whole numbers or objects; `session` checks them
before the command is seen by anyone. Every command may carry `id` (a whole number, echoed in the reply); one
that changes something may carry `at_tick`, the tick at which it is to take effect.
"""

# Roles, each may do what the ones before it may.
OBSERVER, PATIENT, CLINICIAN, SERVICE = range(4)
ROLES = ("observer", "patient", "clinician", "service")

# What a command changes: nothing, something at once, or the flow, which takes effect at the end of the tick
# in which it is carried out. The numbers are the ticks by which it is carried out early to take effect at
# `at_tick`.
READS, AT_ONCE, FLOW = -1, 0, 1


class Command:
    """One row: `needs` and `may` name the arguments; `objects`, `texts` and `lists` (of texts) are those of
    them that are not numbers.
    """

    def __init__(self, name, role, changes, needs=(), may=(), objects=(), texts=(), lists=()):
        self.name = name
        self.role = role
        self.changes = changes
        self.needs = needs
        self.may = may
        self.objects = objects
        self.texts = texts
        self.lists = lists


COMMANDS = (
    Command("hello", OBSERVER, READS),
    Command("status", OBSERVER, READS),
    Command("program", CLINICIAN, AT_ONCE, needs=("therapy",), objects=("therapy",)),
    Command("library", CLINICIAN, AT_ONCE, needs=("part",), objects=("part",)),
    Command(
        "confirm", CLINICIAN, FLOW, needs=("digest",), may=("accept",), texts=("digest",), lists=("accept",)
    ),
    Command("start", CLINICIAN, FLOW),
    Command("stop", PATIENT, AT_ONCE),
    Command("acknowledge", CLINICIAN, AT_ONCE),
    Command("audio_pause", PATIENT, AT_ONCE),
    Command("alarms", OBSERVER, READS),
    Command("bolus", CLINICIAN, FLOW, needs=("volume_nl", "duration_ms")),
    Command("patient_bolus", PATIENT, FLOW),
    Command("refill", CLINICIAN, AT_ONCE, needs=("volume_nl",)),
    Command("begin_anew", CLINICIAN, AT_ONCE),
    Command("prime", CLINICIAN, FLOW, needs=("volume_nl",)),
    Command("attempts", CLINICIAN, READS),
    Command("therapy", OBSERVER, READS, may=("number",)),
    Command("set_time", CLINICIAN, FLOW, needs=("week_s",)),
    Command("log", OBSERVER, READS, needs=("stream", "from"), texts=("stream",)),
)


def find(name):
    """The row of a command, or None."""
    for command in COMMANDS:
        if command.name == name:
            return command
    return None


def changes_of(request):
    """What a request that names a command of the table changes."""
    command = find(request["cmd"])
    return command.changes if command else READS


def problem_with(command, request):
    """What is wrong with the arguments of `request`, as a text; empty if nothing."""
    allowed = ("cmd", "id", "at_tick") if command.changes != READS else ("cmd", "id")
    for key in request:
        if key not in allowed and key not in command.needs + command.may:
            return "%s: unknown argument" % key
    for key in command.needs:
        if key not in request:
            return "%s: missing" % key
    for key in request:
        value = request[key]
        if key == "cmd":
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
        elif type(value) is not int or value < 0:
            return "%s: must be a whole number" % key
    return ""
