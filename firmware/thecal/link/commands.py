"""The one table of commands: name, role that may give it, whether it changes anything, and its arguments.

Code, tests and documentation read this table. Arguments are whole numbers or objects; `session` checks them
before the command is seen by anyone. Every command may carry `id` (a whole number, echoed in the reply); one
that changes something may carry `at_tick`, the tick at which it is to be carried out.
"""

# Roles, each may do what the ones before it may.
OBSERVER, PATIENT, CLINICIAN, SERVICE = range(4)
ROLES = ("observer", "patient", "clinician", "service")


class Command:
    """One row: `needs` and `may` are tuples of argument names, `objects` those of them that are objects, not
    numbers.
    """

    def __init__(self, name, role, changes, needs=(), may=(), objects=(), texts=()):
        self.name = name
        self.role = role
        self.changes = changes
        self.needs = needs
        self.may = may
        self.objects = objects
        self.texts = texts


COMMANDS = (
    Command("hello", OBSERVER, False),
    Command("status", OBSERVER, False),
    Command("program", CLINICIAN, True, needs=("therapy",), objects=("therapy",)),
    Command("confirm", CLINICIAN, True, needs=("digest",), texts=("digest",)),
    Command("start", CLINICIAN, True),
    Command("stop", PATIENT, True),
    Command("acknowledge", CLINICIAN, True),
    Command("bolus", CLINICIAN, True, needs=("volume_nl", "duration_ms")),
)


def find(name):
    """The row of a command, or None."""
    for command in COMMANDS:
        if command.name == name:
            return command
    return None


def problem_with(command, request):
    """What is wrong with the arguments of `request`, as a text; empty if nothing."""
    allowed = ("cmd", "id", "at_tick") if command.changes else ("cmd", "id")
    for key in request:
        if key not in allowed and key not in command.needs and key not in command.may:
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
        elif key in command.texts:
            if not isinstance(value, str):
                return "%s: must be a text" % key
        elif type(value) is not int or value < 0:
            return "%s: must be a whole number" % key
    return ""
