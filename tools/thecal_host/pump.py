"""A conversation with one pump over an open port: connect, ask, program, listen.

`Pump` owns the time that the link client does not know: it reads the port until an answer is there or the
wait is over. Every failure is a `PumpError` whose message says what to do next. A request that changes
something is given once: where no reply comes the pump is asked what became of it (`lost`). What was refused
because of its signature is signed anew, and is the same request.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

from thecal.dose import prescription, program
from thecal.link.commands import STOP
from thecal.rig import RigError
from thecal.rig import read as read_rig
from thecal_model import programming
from thecal_model.kept import joined
from thecal_model.link import PROTOCOL_VERSION, UNHEARD, LinkClient, needs_id
from thecal_model.readback import differences
from thecal_model.signing import Signer

from thecal_host import lost
from thecal_host.connection import Port, PortError
from thecal_host.pharmacy import Library
from thecal_host.readbacks import Proposal

# A reply leaves in the tick (100 ms) that read the request; an emulated board under load is slower.
REPLY_TIMEOUT_S = 5.0

HELLO_TIMEOUT_S = 4.0

# While waiting, ask for hello again this often: the first may have met a board that was still booting.
HELLO_AGAIN_S = 1.0

MOST_OVERHEARD = 1_000
MOST_EVENTS = 1_000

# A port that went away is opened anew so often.
REOPEN_S = 0.5

# The pump looks at no signature for a second after several bad ones; another client of the same role may take
# the next count. So often a request is signed anew.
AUTH_WAIT_S = 1.1
MOST_SIGNATURES = 5


class PumpError(Exception):
    """The pump did not do what was asked. The message says why and what to do."""


WHAT_TO_DO = {
    "not_signed": "it is paired, and this computer has no key for that: `thecal keys import FILE` takes one "
    "that was exported for you; who has lost all keys fits the MAINTENANCE jumper (`thecal keys reset`)",
    "bad_auth": "it does not take this computer's key, which was rotated or revoked; or another computer has "
    "paired it anew; have a key exported there (`thecal keys export ROLE FILE`), and import it",
    "replayed": "other programs sign in this role all the while; give the command again",
    "auth_wait": "too many wrong signatures came of late; try again in some seconds",
    "keys_wait": "somebody else may be pairing it now: leave its buttons alone until you know who",
    "unpaired": "its keys were reset since; `thecal pair` pairs it anew",
    "role": "this computer has no key of that role for it, or --role names a lesser one",
    "other_boot": "it has restarted since; look with `thecal status` before you give the command again",
}
"""By the code of a refusal, what a person makes of it."""


class Refused(PumpError):
    """The pump said no; `code` is its code."""

    def __init__(self, cmd: str, code: str, message: str) -> None:
        what_to_do = f"\n{WHAT_TO_DO[code]}" if code in WHAT_TO_DO else ""
        super().__init__(f"the pump refuses `{cmd}`: {message or code}{what_to_do}")
        self.code = code
        self.cmd = cmd
        self.message = message


class Pump:
    """One pump at one port. `hello` holds what it said of itself when it was connected.

    `reopen` opens the port anew where it went away; without one a lost line is an error. `signer` has
    the keys with which a paired pump wants commands signed.
    """

    def __init__(self, port: Port, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.port = port
        self.hello: dict[str, Any] = {}
        self.clock_s = clock_s
        self.sleep: Callable[[float], object] = time.sleep
        self.reopen: Callable[[], Port] | None = None
        # What it told while a reply was waited for, for who listens to all of it (`listening`).
        self.overheard: deque[dict[str, Any]] = deque(maxlen=MOST_OVERHEARD)
        # Ids begin anywhere, so that a late reply to an earlier program is not taken for ours.
        self.client = LinkClient(
            lambda data: self.port.write(data),
            first_id=random.randrange(1, 1 << 29),
            most_events=MOST_EVENTS,
        )
        self.signer = self.client.signer = Signer({})

    def connect(self) -> dict[str, Any]:
        """Say hello until the pump answers; check that both speak the same protocol."""
        # Ends whatever an earlier program may have left half sent.
        self.port.write(b"\n")
        reply = self._say_hello()
        if reply.get("protocol") != PROTOCOL_VERSION:
            raise PumpError(
                f"{self.port.name} speaks protocol {reply.get('protocol')}, this program {PROTOCOL_VERSION}: "
                "flash the image that belongs to this program (`make flash`)"
            )
        if self.hello and reply.get("serial") != self.hello.get("serial"):
            raise PumpError(f"another pump answers at {self.port.name} than before: give the command again")
        if not self.hello:
            self.client.forget_losses()
        self.hello = reply
        return reply

    def _say_hello(self) -> dict[str, Any]:
        deadline_s = self.clock_s() + HELLO_TIMEOUT_S
        asked: list[int] = []
        reply = None
        while reply is None:
            now_s = self.clock_s()
            if now_s >= deadline_s:
                raise PumpError(self._why_silent())
            asked.append(self.client.request("hello"))
            reply = self.wait(asked, min(deadline_s, now_s + HELLO_AGAIN_S))
        self._check("hello", reply)
        try:
            self.signer.hear(reply)
        except (ValueError, AttributeError) as why:
            raise PumpError(f"{self.port.name} says hello as no pump does: {why}") from None
        return reply

    @property
    def paired(self) -> bool:
        """Whether it wants signatures, as it last said."""
        return self.signer.paired

    def reach_again(self) -> None:
        """Open a port that went away, and reach the same pump there, signing as before. PortError where it
        does not open; PumpError where no pump answers, or another one.
        """
        self._open_port_again()
        self.connect()

    def open_again(self) -> bool:
        """Try once, and not for long, to do so; whether it is there. PumpError where it is another one."""
        try:
            self._open_port_again()
            self.port.write(b"\n")
            if self.wait([self.client.request("hello")], self.clock_s() + HELLO_AGAIN_S) is None:
                return False
            self.connect()
        except PortError:
            return False
        return True

    def _open_port_again(self) -> None:
        self.port.close()
        if self.reopen is None:
            raise PortError(f"{self.port.name} is lost: give the command again")
        self.port = self.reopen()
        self.client.line_lost()

    def poll(self, timeout_s: float) -> list[dict[str, Any]]:
        """The frames that have arrived, waiting at most `timeout_s` for the first bytes."""
        data = self.port.read(timeout_s)
        return self.client.feed(data) if data else []

    def ask(self, cmd: str, **args: Any) -> dict[str, Any]:
        """Send one request and wait for its reply. Raises Refused; PumpError when none comes, with what is
        known of it; PortError where the line went, and did not come back or only a question was asked.
        """
        boot, run = self.client.boot, self.client.run
        gone: PortError | None = None
        reply = None
        try:
            self.client.request(cmd, **args)
            reply = self._answer(cmd, self.client.last_id)
        except PortError as why:
            if not needs_id(cmd):
                raise
            gone = why
        if reply is None:
            named = None if cmd == STOP else boot
            reply = self._find_out(cmd, lost.Id(run, self.client.last_id, named), gone)
        self._check(cmd, reply)
        return reply

    def answer_in(self, role: str | None, cmd: str, **args: Any) -> dict[str, Any] | None:
        """What is answered to a question, refusals too; None where nothing is. Signed in `role` if given."""
        signer = self.signer
        before, signer.role = signer.role, role or signer.role
        try:
            return self._answer(cmd, self.client.request(cmd, **args))
        finally:
            signer.role = before

    def _answer(self, cmd: str, request_id: int) -> dict[str, Any] | None:
        """The reply to a request, None where none comes in time; after another signature where that helps.

        A stop for which a signature does not do goes without one, which a paired pump obeys, too.
        """
        for count in range(1, MOST_SIGNATURES + 1):
            auth_waits = self.client.auth_waits
            reply = self.wait([request_id], self.clock_s() + REPLY_TIMEOUT_S)
            error = None if reply is None else reply.get("error")
            if reply is None and self.client.auth_waits > auth_waits:
                error = "auth_wait"  # said of others' lines, and not of each
            if error not in UNHEARD or count == MOST_SIGNATURES:
                return reply
            if cmd == STOP:
                self.client.again(request_id, signed=False)
                continue
            if error == "auth_wait":
                self.sleep(AUTH_WAIT_S)
            else:
                nonce, was_paired = self.signer.nonce, self.paired
                self.connect()
                known = self.signer.nonce == nonce and self.paired == was_paired
                if not self.paired or (known and error != "replayed") or not self.signer.keys:
                    return reply
            self.client.again(request_id)
        return None

    def _find_out(self, cmd: str, id: lost.Id, gone: PortError | None) -> dict[str, Any]:
        """The answer to a request of which no reply came. PumpError with what is known of it."""
        silent = f"no answer to `{cmd}` from {self.port.name} within {REPLY_TIMEOUT_S:.0f} s"
        if not needs_id(cmd):
            raise PumpError(f"{silent}: reset the pump, or ask again")
        if gone is not None:
            until_s = self.clock_s() + (lost.STOP_TIMEOUT_S if cmd == STOP else lost.LINE_TIMEOUT_S)
            while not self.open_again():
                if self.reopen is None or self.clock_s() >= until_s:
                    if cmd == STOP:
                        raise gone
                    raise PortError(
                        f"{gone}\nWhat became of `{cmd}` is not known: once the pump is there again ask with "
                        f"`thecal outcome {id}` before you give it again"
                    )
                self.sleep(REOPEN_S)
            silent = f"the line was lost before `{cmd}` was answered"
        role = self.signer.role_for(cmd) if self.paired else None
        answer = lost.answer(self, id, role, cmd == STOP)
        if isinstance(answer, str):
            raise PumpError(f"{silent}: {answer}")
        return answer

    def propose(self, therapy: dict[str, Any]) -> Proposal:
        """Have a therapy read back. Raises PumpError when the read-back is not what was sent."""
        reply: dict[str, Any] = {}
        for arguments in programming.requests(therapy):
            reply = self.ask("program", **arguments)
        digest, readback = reply.get("digest"), reply.get("readback")
        if not isinstance(digest, str) or not isinstance(readback, dict):
            raise PumpError("the pump's answer to `program` has no digest and read-back; nothing was changed")
        basal = (
            self._basal(therapy) if programming.missing(readback) is not None or "steps" in readback else ()
        )
        proposal = self.proposed(reply, basal)
        while (first := programming.missing(readback)) is not None:
            try:
                programming.complete(reply, self.ask("readback", **{"from": first}))
            except (programming.ReadbackError, KeyError, TypeError) as why:
                raise PumpError(f"{why}; nothing was changed") from None
        wrong = differences(therapy, readback)
        if wrong:
            raise PumpError(
                "the pump read back another therapy than was sent, nothing was changed: " + "; ".join(wrong)
            )
        return proposal

    def proposed(self, reply: dict[str, Any], basal: Any = ()) -> Proposal:
        """What was read back. PumpError where the digest, which a confirmation signs, is of another one:
        something else than was shown would be confirmed. `basal` is that of a week with several steps.
        """
        if reply["digest"] != program.digest(reply["readback"], basal):
            raise PumpError(
                f"{self.port.name} gave the digest of something else than it read back, nothing was changed: "
                "who is between this computer and the pump?"
            )
        return Proposal(reply["digest"], reply["readback"], tuple(reply.get("why", ())))

    def _basal(self, therapy: dict[str, Any]) -> Any:
        try:
            rig = read_rig(self.ask("rig_kept")["rig"])
            return prescription.parse(therapy, rig.mechanism()).basal
        except (KeyError, RigError, prescription.PrescriptionError) as why:
            raise PumpError(f"the read-back cannot be checked, nothing was changed: {why}") from None

    def propose_library(self, library: Library) -> Proposal:
        """Have a drug library read back. Raises PumpError when the read-back is not that of the file."""
        reply: dict[str, Any] = {}
        for part in library.parts():
            reply = self.ask("library", part=part)
        if reply.get("readback") != library.readback():
            raise PumpError("the pump read back another library than was sent; nothing was changed")
        return self.proposed(reply)

    def propose_refill(self, volume_nl: int) -> Proposal:
        """Have a refill read back."""
        reply = self.ask("refill", volume_nl=volume_nl)
        if reply.get("readback") != {"refill_nl": volume_nl}:
            raise PumpError("the pump read back another volume than was sent; nothing was changed")
        return self.proposed(reply)

    def propose_new_line(self) -> Proposal:
        """Have it read back how much fills a line that is new or empty. Refused unless STOPPED."""
        reply = self.ask("new_line")
        if not isinstance(reply.get("readback"), dict) or "new_line_nl" not in reply["readback"]:
            raise PumpError("the pump's answer to `new_line` says no volume; nothing was changed")
        return self.proposed(reply)

    def propose_disconnected(self) -> Proposal:
        """Have it read back that no patient is connected, and how much may be jogged then. Refused unless
        STOPPED, and where a drug may be in the line.
        """
        reply = self.ask("disconnected")
        if not isinstance(reply.get("readback"), dict) or "jog_steps" not in reply["readback"]:
            raise PumpError("the pump's answer to `disconnected` says no steps; nothing was changed")
        return self.proposed(reply)

    def propose_begin_anew(self) -> Proposal:
        """Have it read back what the flash holds instead of a journal. Refused where it holds one."""
        reply = self.ask("begin_anew")
        return self.proposed(reply)

    def confirm(self, proposal: Proposal) -> None:
        """Apply what was read back."""
        accept = {"accept": proposal.soft} if proposal.soft else {}
        self.ask("confirm", digest=proposal.digest, **accept)

    def therapy(self, number: int | None = None) -> dict[str, Any] | None:
        """The therapy of a number, or the one in force, as the pump keeps it; None where it keeps none.

        A dict with `number`, `tick_s` (when it was confirmed), `digest` and `therapy`, as in `program`.
        """
        try:
            pages = [self.ask("therapy", **({} if number is None else {"number": number}))]
        except Refused as why:
            if why.code != "refused":
                raise
            return None
        while pages[-1].get("next", 0) < pages[-1].get("step_count", 0):
            pages.append(self.ask("therapy", number=pages[0]["number"], **{"from": pages[-1]["next"]}))
        try:
            return joined(pages)
        except (KeyError, TypeError, ValueError) as why:
            raise PumpError(f"the pump's answer to `therapy` is not whole ({why})") from None

    def empty_nl(self) -> int:
        """The level at which the reservoir counts as empty, of the therapy in force."""
        kept = self.therapy()
        return (
            prescription.EMPTY_NL if kept is None else kept["therapy"].get("empty_nl", prescription.EMPTY_NL)
        )

    def status(self) -> dict[str, Any]:
        """A status frame of now. The pump answers the request with the frame that it also sends by itself."""
        self.client.last_status = None
        self.client.request("status")
        deadline_s = self.clock_s() + REPLY_TIMEOUT_S
        while self.client.last_status is None:
            if self.clock_s() >= deadline_s:
                raise PumpError(
                    f"no status from {self.port.name} within {REPLY_TIMEOUT_S:.0f} s: reset the pump"
                )
            self.poll(0.1)
        return self.client.last_status

    @property
    def nl_per_step(self) -> Fraction:
        """Mean volume of a microstep, from the pump's calibration."""
        return Fraction(self.hello["nl_per_rev"], self.hello["steps_per_rev"])

    @property
    def tick_ms(self) -> int:
        """Length of the pump's tick."""
        return self.hello["tick_ms"]

    def listen(self, until_s: float | None = None) -> Iterator[list[dict[str, Any]]]:
        """Frames as they come, in batches (an empty one at least every 200 ms), until a time or for ever."""
        while until_s is None or self.clock_s() < until_s:
            yield self.poll(0.2)

    def wait(self, request_ids: list[int], until_s: float) -> dict[str, Any] | None:
        """The first reply to one of these requests, None where none comes until then."""
        while True:
            for request_id in request_ids:
                reply = self.client.reply(request_id)
                if reply is not None:
                    return reply
            left_s = until_s - self.clock_s()
            if left_s <= 0:
                return None
            frames = self.poll(min(left_s, 0.1))
            self.overheard.extend(frame for frame in frames if frame.get("id") not in request_ids)

    def _check(self, cmd: str, reply: dict[str, Any]) -> None:
        if reply.get("ok") is not True:
            raise Refused(cmd, str(reply.get("error", "no reason given")), str(reply.get("message", "")))

    def _why_silent(self) -> str:
        name = self.port.name
        said = b"\n".join([*self.client.noise, self.client.unfinished])
        if b">>>" in said or b"MicroPython" in said:
            return (
                f"{name} answers with a MicroPython prompt, not as a pump: take the MAINTENANCE jumper off "
                "and reset the board, or put the image on it with `make flash`"
            )
        if said.strip():
            return (
                f"{name} answers, but not as a pump; it said {said.strip()[-60:]!r}: is it another "
                "device? `thecal ports` lists what there is"
            )
        return (
            f"no pump answers at {name}: reset it, see that it has the image (`make flash`) and that its "
            "MAINTENANCE jumper is off; `thecal ports` lists what there is"
        )
