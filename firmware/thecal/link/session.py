"""From bytes to commands that may be carried out now, in order.

`Session.next` is called until it returns None. It checks frame, command, role and arguments, answers what is
wrong itself, and holds back commands that carry an `at_tick` until their tick has come. Authentication will
decide `role_of` a request; until then the cable is the authority, as it is for every bench instrument on a
desk.
"""

from . import commands
from .frame import LINE_BYTES, STATUS_BYTES, LineReader

MOST_HELD = 8
# Room for an answer, which is a line of 4 096 bytes at most, and for a status behind it. Where there is less,
# requests wait for a host that reads; one that has taken nothing for so long loses answers instead, as a stop
# must never wait for it.
ANSWER_ROOM = LINE_BYTES + STATUS_BYTES
PATIENCE_TICKS = 10


class Session:
    """One host on the serial link."""

    def __init__(self, crc):
        self.reader = LineReader(crc)
        self.held = []  # requests in the order in which they came
        self.put_back_count = 0  # of them, at the head, that were put back in this tick
        self.refusal = None  # a reply to send, for a request that was not accepted
        self.request = None
        self.sent = 0  # `Outputs.tx_start` in the last tick
        self.unread_ticks = 0  # since the host has taken something

    def begin_tick(self, inputs, outputs):
        """Take in the bytes of this tick."""
        self.reader.take_in(inputs.rx, inputs.rx_len)
        self.put_back_count = 0
        if outputs.tx_start == outputs.tx_end or outputs.tx_start != self.sent:
            self.unread_ticks = 0
        else:
            self.unread_ticks += 1
        self.sent = outputs.tx_start

    def role_of(self, request):
        """The role in which a request comes."""
        return commands.SERVICE

    def next(self, outputs, tick):
        """The next request to carry out in this tick, or None. After each call `refusal` may hold a reply to
        be sent.
        """
        self.refusal = None
        due = self._due(tick)
        if due is not None:
            return due
        is_full = outputs.tx_start < outputs.tx_end and len(outputs.tx) - outputs.tx_end < ANSWER_ROOM
        if is_full and self.unread_ticks < PATIENCE_TICKS:
            return None
        reader = self.reader
        request = reader.next()
        if request is not None:
            return self._accept(request, tick)
        if reader.error:
            reader.spend(commands.ANSWER_WORK)
            self.refusal = refusal({"id": reader.number}, reader.error, reader.message)
        return None

    def put_back(self, request, tick):
        """`request` can not be carried out yet: it comes again in the next tick, before what came after."""
        request["at_tick"] = tick + 1 + commands.changes_of(request)
        self.held.insert(self.put_back_count, request)
        self.put_back_count += 1

    def _accept(self, request, tick):
        command = commands.find(request["cmd"])
        self.reader.spend(command.work if command else commands.ANSWER_WORK)
        if command is None:
            self.refusal = refusal(request, "unknown_command", "%s: unknown command" % request["cmd"][:32])
            return None
        problem = commands.problem_with(command, request)
        if problem:
            self.refusal = refusal(request, "bad_argument", problem)
            return None
        if self.role_of(request) < command.role:
            self.refusal = refusal(
                request, "role", "%s needs the role %s" % (command.name, commands.ROLES[command.role])
            )
            return None
        if "at_tick" in request and _not_before(request, command) > tick:
            if len(self.held) == MOST_HELD:
                self.refusal = refusal(request, "busy", "%d commands are held back already" % MOST_HELD)
            else:
                self.held.append(request)
                self.refusal = {"type": "reply", "id": request.get("id", 0), "ok": True, "held": True}
            return None
        return request

    def _due(self, tick):
        # The earliest first, and in the order in which they came on ties; so one that acts at once at its
        # tick is not overtaken by one that is carried out a tick early.
        first = 0
        held = self.held
        for index in range(1, len(held)):
            if held[index]["at_tick"] < held[first]["at_tick"]:
                first = index
        if held and _not_before(held[first], commands.find(held[first]["cmd"])) <= tick:
            return held.pop(first)
        return None


def _not_before(request, command):
    return request["at_tick"] - command.changes


def refusal(request, error, message):
    """The reply to a request that is refused."""
    number = request.get("id") if request else 0
    if type(number) is not int:
        number = 0
    return {"type": "reply", "id": number, "ok": False, "error": error, "message": message}
