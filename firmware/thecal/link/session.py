"""From bytes to commands whose form is right and whose sender may give them, in order.

`Session.next` is called while there is `more`. It checks frame, command, signature, role, arguments and that
a command that changes something has an ID, and answers what is wrong itself. What then becomes of a command
(whether it was given before, waits, acts) is not decided here: `thecal/host.py` does, with the queue beside
this.

On an unpaired pump the cable is the authority, as it is for every bench instrument on a desk. On a paired one
a request has the role that signed it (`signing`), and one that nobody signed that of an observer. A stop acts
whoever sends it, and is `trusted` or not.
"""

from binascii import unhexlify

from . import commands
from .frame import LINE_BYTES, STATUS_BYTES, LineReader
from .signing import UNSIGNED, Keys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..signals import Inputs, Outputs
    from .commands import Command


# Room for an answer, which is a line of 4 096 bytes at most, and for a status behind it. Where there is less,
# requests wait for a host that reads; one that has taken nothing for so long loses answers instead, as a stop
# must never wait for it.
ANSWER_ROOM = LINE_BYTES + STATUS_BYTES
PATIENCE_TICKS = 10

NOT_SIGNED = "not_signed"
# Why a line is refused for what is, or is not, its signature.
SIGNATURE_PROBLEMS = (
    ("unpaired", "the pump has no keys: send it unsigned, or pair the pump first"),
    ("bad_auth", "the signature is not that of these bytes under the role's key in this boot"),
    (
        "replayed",
        "the counter is not above the highest of this role, or beyond those of this boot (see hello)",
    ),
    ("auth_wait", "signatures did not hold: try again in a second"),
    ("not_signed", "%s needs a signature in the role %s"),
    ("role", "%s needs the role %s"),
)


class Session:
    """One host on the serial link."""

    def __init__(self, crc) -> None:
        self.keys = keys = Keys(commands.ROLES)
        self.reader = LineReader(crc, keys)
        self.trusted = True  # somebody who may give the last request has signed it, or need not
        self.more = False  # there may be another request in this tick
        self.refusal = None  # a reply to send, for a request that was not accepted
        self.sent = 0  # `Outputs.tx_start` in the last tick
        self.unread_ticks = 0  # since the host has taken something

    def begin_tick(self, inputs: "Inputs", outputs: "Outputs") -> None:
        """Take in the bytes of this tick."""
        reader = self.reader
        self.more = inputs.rx_len > 0 or reader.parsing or reader.looked < reader.fill
        if self.more:
            reader.take_in(inputs.rx, inputs.rx_len)
            self.keys.pass_time(inputs.tick_s)
        if outputs.tx_start == outputs.tx_end or outputs.tx_start != self.sent:
            self.unread_ticks = 0
        else:
            self.unread_ticks += 1
        self.sent = outputs.tx_start

    def role_of(self, request: dict):
        """The role in which the last request comes."""
        keys = self.keys
        return max(keys.role, commands.OBSERVER) if keys.paired else commands.SERVICE

    def next(self, outputs: "Outputs"):
        """The next request of this tick whose form is right, or None. After each call `refusal` may hold a
        reply to be sent.
        """
        self.refusal = None
        is_full = outputs.tx_start < outputs.tx_end and len(outputs.tx) - outputs.tx_end < ANSWER_ROOM
        if not self.keys.open or (is_full and self.unread_ticks < PATIENCE_TICKS):
            self.more = False
            return None
        reader = self.reader
        request = reader.next()
        if request is not None:
            return self._checked(request)
        if reader.error:
            reader.spend(commands.ANSWER_WORK)
            self.refusal = refusal({"id": reader.number}, reader.error, reader.message)
        else:
            self.more = False
        return None

    def stop_ahead(self):
        """Whether a stop has come that is behind lines which wait to be read; each one is told once."""
        reader = self.reader
        return reader.looked < reader.fill and reader.find_ahead(b"stop", is_stop)

    def before_stop(self):
        """Whether the last request came before a stop that was told so."""
        return self.reader.before_found()

    def frame(self):
        """The CRC of the frame that the last request came in, 4 bytes: what tells two of them apart."""
        return unhexlify(bytes(self.reader.digits))

    def _checked(self, request: dict):
        command = commands.find(request["cmd"])
        self.reader.spend(command.work if command else commands.ANSWER_WORK)
        if command is None:
            self.refusal = refusal(request, "unknown_command", "%s: unknown command" % request["cmd"][:32])
            return None
        problem = commands.problem_with(command, request)
        if problem:
            self.refusal = refusal(request, "bad_argument", problem)
            return None
        role = command.role
        if command.name == commands.CONFIRM:
            role = max(role, self.keys.proposed_by)
        error = self._distrust(request, command, role)
        self.trusted = not self.keys.paired or (not error and self.keys.role != UNSIGNED)
        if error and not (command.name == commands.STOP and is_stop(request)):
            message = [text for name, text in SIGNATURE_PROBLEMS if name == error][0]
            if error in ("role", NOT_SIGNED):
                message %= command.name, commands.ROLES[role]
            self.refusal = refusal(request, error, message)
            return None
        if command.changes != commands.READS and command.name != commands.STOP and not has_id(request):
            self.refusal = refusal(
                request, "id_missing", "%s: changes something and needs id and run" % command.name
            )
            return None
        return request

    def _distrust(self, request: dict, command: "Command", role: int):
        """Why a request is not taken as one of somebody who may give it, as an `error`; empty if it is."""
        keys = self.keys
        if keys.problem:
            return keys.problem
        if keys.paired and keys.role == UNSIGNED and "at_tick" in request:
            return NOT_SIGNED  # it would take somebody's place among what waits
        if self.role_of(request) >= role:
            return ""
        if command.name == commands.CONFIRM and request["digest"] == keys.reset_digest:
            return ""  # by a hand at the pump
        return NOT_SIGNED if keys.role == UNSIGNED else "role"


def is_stop(request: dict) -> bool:
    """Whether a request is a stop that acts when it comes."""
    command = commands.find(commands.STOP)
    return (
        request["cmd"] == commands.STOP
        and "at_tick" not in request
        and not commands.problem_with(command, request)
    )


def has_id(request: dict) -> bool:
    """Whether a request, whose form is right, says who asks and for the how manieth time."""
    return "id" in request and "run" in request


def reply_to(request: dict):
    """The beginning of a reply to `request` (None: to a line that was not understood)."""
    number = request.get("id") if request else 0
    reply = {"type": "reply", "id": number if type(number) is int else 0}
    if request and commands.is_run(request.get("run")):
        reply["run"] = request["run"]
    return reply


def refusal(request: dict, error: str, message: str):
    """The reply to a request that is refused."""
    reply = reply_to(request)
    reply["ok"] = False
    reply["error"] = error
    reply["message"] = message
    return reply
