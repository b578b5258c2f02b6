"""Commands on their way to the pump: each is sent about a second early with the tick at which it acts, so the
tick is exact on every board. What is read back is proposed earlier, a long therapy frame by frame.

After a reset the pump's ticks are behind those of the world by what passed while it hung, had no power,
started, and since its last record: the event `boot` tells by how much, and commands are sent for its ticks.
What is due while the power is cut is not sent.

A pump that is to be paired is sent keys, and a hand presses its STOP button; what is sent once it says that
they are in force is signed with them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from thecal_model import programming, signing
from thecal_model.link import LinkClient, LinkError
from thecal_model.therapy import Profile

from thecal_bench.bench import Bench
from thecal_bench.checks import Bolus
from thecal_bench.run_log import STATUS_PERIOD_TICKS, RunLog
from thecal_bench.runner.findings import Findings, Record
from thecal_bench.runner.proposals import LEAD_TICKS, PROPOSE_TICKS, check_readback, lead_ticks
from thecal_bench.scenario import CONFIRMED, Event

LATEST_TICKS = 2
"""How long before its tick a command is sent at the latest: a change of flow is taken up a tick ahead."""

MOST_HELD = 8
"""Commands that the pump holds back at a time (`thecal.link.session`)."""


HAND_TICKS = 3
"""After `pair` a hand presses STOP, and lets go of it as long after that."""


@dataclass
class Command:
    """A command on its way: waiting, proposed (what is read back only), or asked."""

    event: Event
    tick: int  # at which it acts, the device's
    bolus: Bolus | None = None
    earliest_tick: int = 0  # before which it must not be sent
    proposal_id: int | None = None  # of the last of its frames
    frames: int = 0  # of the proposal, sent so far
    draft: Record | None = None  # what was read back so far
    proposal: Record | None = None  # with all of its read-back
    refused: bool = False
    request_id: int | None = None


class Commands:
    """Those of one run. `begin_tick` is the device's at t=0; every other tick here is the world's."""

    def __init__(
        self,
        bench: Bench,
        link: LinkClient,
        log: RunLog,
        findings: Findings,
        profile: Profile,
        begin_tick: int,
    ) -> None:
        self._bench = bench
        self._link = link
        self._log = log
        self._findings = findings
        self._profile = profile
        self._begin = begin_tick
        self.connected = True
        self.keys: dict[str, bytes] = {}  # with which a pump is paired
        self._waits_for_hand = False  # the pump that is to be paired
        self.open: list[Command] = []  # asked, and not answered
        self._waiting: deque[Command] = deque()
        self._stops: list[tuple[int, int]] = []  # at which tick, and from which on a start is taken again
        self._dark: list[tuple[int, int]] = []  # there is no power from a tick on, until another
        self._asks: deque[int] = deque()  # ticks for which a status is to be asked
        self._waits = False  # for the answer to a frame of a long proposal

    # --- what is to come, in the order of its ticks

    def add(self, event: Event, tick: int, bolus: Bolus | None) -> None:
        """A command that acts at `tick`; `bolus` is what it asks for."""
        self._waiting.append(Command(event, tick, bolus, self._after_stops(tick)))

    def stops(self, tick: int, free_tick: int) -> None:
        """A stop acts at `tick`, and from `free_tick` on nothing keeps a start from being taken."""
        self._stops.append((tick, free_tick))

    def hand(self) -> None:
        """Press STOP, if the pump waits for that to be paired: one that runs does not."""
        if self._waits_for_hand:
            self._waits_for_hand = False
            self._bench.press("stop", HAND_TICKS)

    def is_dark_from(self, tick: int, end_tick: int) -> None:
        """There is no power in these ticks."""
        self._dark.append((tick, end_tick))

    def ask_status(self, ticks: Iterable[int]) -> None:
        """Have a status of each of these ticks from t=0, in order."""
        self._asks.extend(ticks)

    def unanswered(self) -> int:
        """How many of them got no answer, or were never sent."""
        return len(self.open) + len(self._waiting)

    # --- sending

    def send(self) -> None:
        """Send what is due; in order, so that commands for one tick act in the order of the file."""
        now = self._bench.tick
        # Before what takes the pump long to read.
        while self._asks and self._begin + self._asks[0] - 1 <= now:
            tick = self._device_tick(self._begin + self._asks.popleft())
            if self.connected and tick % STATUS_PERIOD_TICKS and not self._is_dark(now + 1):
                self._link.request("status")
        self._waits = self.connected and self._propose_early()
        while self._waiting and self.connected and self._handled(self._waiting[0], now):
            self._waiting.popleft()

    def _handled(self, command: Command, now: int) -> bool:
        """Whether it is sent, or can be no more. If not, a later look will do."""
        if command.tick - LEAD_TICKS > now:
            return False
        if self._is_dark(command.tick):
            if command.tick > now:
                return False
            self._not_heard(command)
            return True
        held = sum(other.tick > now for other in self.open)
        full = held >= MOST_HELD - 1 and command.tick - LATEST_TICKS > now
        if command.earliest_tick > now or full:
            return False
        event = command.event
        if event.do in CONFIRMED:
            return self._send_proposal(command)
        args: Record = {}
        if event.bolus is not None:
            args = {"volume_nl": event.bolus.volume_nl, "duration_ms": event.bolus.duration_ms}
            if event.accept:  # as the scenario says, and never by itself (LIM-14)
                args["accept"] = list(event.accept)
        elif event.week_ms is not None:
            args = {"week_s": event.week_ms // 1000}
        elif event.do == "prime":
            args = {"volume_nl": event.volume_nl}
        elif event.do == "pair":
            args = {"keys": {role: signing.key_digits(key) for role, key in self.keys.items()}}
        self._request(command, "bolus" if event.bolus is not None else event.do, **args)
        return True

    def _is_dark(self, tick: int) -> bool:
        return any(first <= tick < end for first, end in self._dark)

    def _not_heard(self, command: Command) -> None:
        answer = {"error": "not_sent", "message": "there is no power, nobody hears it"}
        if command.bolus is None:
            self._findings.refused(command.event, answer)
        else:
            self._findings.answered(command.bolus, {"ok": False, **answer})

    def _send_proposal(self, command: Command) -> bool:
        """Propose, later confirm; True when there is nothing more to be sent for it."""
        self._propose(command)
        if command.refused:
            return True
        proposal = command.proposal
        if proposal is None:
            # A pump that does not answer must not hold up the rest for ever.
            return self._bench.tick > command.tick + LEAD_TICKS
        event = command.event
        check_readback(self._sent_of(command), proposal["readback"])
        accepted = self._findings.accepted(proposal, event.at_ms, event.do)
        self._request(command, "confirm", digest=proposal["digest"], **accepted)
        return True

    def _sent_of(self, command: Command) -> Record:
        """What is proposed: the arguments of the command, a therapy in one piece."""
        event = command.event
        if event.therapy is not None:
            return {"therapy": event.therapy.message(self._profile)}
        if event.rig is not None:
            return {"rig": event.rig.tables}
        return {} if event.volume_nl is None else {"volume_nl": event.volume_nl}

    def _lead(self, command: Command) -> int:
        return lead_ticks(command.event.therapy, self._profile)

    def _propose(self, command: Command) -> None:
        """The next frame of a proposal, once the last one was answered, until `proposal` is complete."""
        if command.proposal is not None or command.refused:
            return
        cmd = "program" if command.event.therapy is not None else command.event.do
        sent = self._sent_of(command)
        frames = programming.requests(sent["therapy"]) if cmd == "program" else [sent]
        reply = None if command.proposal_id is None else self._link.reply(command.proposal_id)
        if command.proposal_id is not None and (reply is None or "held" in reply):
            return
        if reply is not None and not reply["ok"]:
            self._findings.refused(command.event, reply)
            command.refused = True
            return
        if command.draft is not None and reply is not None:
            programming.complete(command.draft, reply)
        elif reply is not None and command.frames == len(frames):
            command.draft = reply
        try:
            if command.draft is None:
                when = {}
                if self._lead(command) == LEAD_TICKS:
                    when = {"at_tick": self._device_tick(command.tick - PROPOSE_TICKS)}
                command.proposal_id = self._link.request(cmd, **when, **frames[command.frames])
                command.frames += 1
            elif (first := programming.missing(command.draft["readback"])) is not None:
                command.proposal_id = self._link.request("readback", **{"from": first})
            else:
                command.proposal = command.draft
        except LinkError as why:
            self._findings.refused(command.event, {"error": "not_sent", "message": str(why)})
            command.refused = True

    def _propose_early(self) -> bool:
        """Go on with the first of the proposals that are to come, if it needs more time than others. Whether
        it waits for an answer.
        """
        command = self._first_proposal()
        if command is None or command.tick - self._lead(command) > self._bench.tick:
            return False
        if self._lead(command) == LEAD_TICKS or self._is_dark(self._bench.tick + 1):
            return False
        self._propose(command)
        return command.proposal is None and not command.refused

    def _request(self, command: Command, cmd: str, **args: Any) -> None:
        command.request_id = self._link.request(cmd, at_tick=self._device_tick(command.tick), **args)
        self.open.append(command)

    def _device_tick(self, tick: int) -> int:
        """What the pump calls that tick."""
        return tick - self._log.lost_ticks

    def next_tick(self) -> int:
        """Up to which tick the board may run before `send` has something to do."""
        soonest = [1 << 62]
        if self._waiting:
            soonest.append(self._waiting[0].tick - LEAD_TICKS)
        command = self._first_proposal()
        if command is not None:
            from_tick = command.tick - self._lead(command)
            if self._waits or from_tick > self._bench.tick:
                soonest.append(from_tick)
        if self._asks:
            soonest.append(self._begin + self._asks[0] - 1)
        return max(min(soonest), self._bench.tick + 1)

    def _first_proposal(self) -> Command | None:
        return next((command for command in self._waiting if command.event.do in CONFIRMED), None)

    def read_replies(self) -> None:
        """Take what was answered to those that are open."""
        still_open = []
        for command in self.open:
            assert command.request_id is not None
            reply = self._link.reply(command.request_id)
            if reply is None or "held" in reply:
                still_open.append(command)
            elif command.bolus is not None:
                self._findings.answered(command.bolus, reply)
            elif not reply["ok"]:
                self._findings.refused(command.event, reply)
            else:
                self._taken(command)
        self.open = still_open

    def _taken(self, command: Command) -> None:
        """What follows from a command that the pump has taken."""
        event = command.event
        if event.rig is not None:
            self._findings.rig = event.rig
        elif event.therapy is not None:
            self._findings.therapies.append((command.tick - self._begin, event.therapy))
        elif event.week_ms is not None:
            self._findings.clocks.append((command.tick - self._begin, event.week_ms))
        elif event.do == "pair":
            self._bench.signer.keys = dict(self.keys)
            self._waits_for_hand = True

    def _after_stops(self, tick: int) -> int:
        """When a command for `tick` may be sent: a stop, or the STOP button, cancels what waits when its time
        comes, and while the button is held down nothing that starts is taken.
        """
        earliest_tick = 0
        for stop, free in self._stops:
            earliest_tick = max(earliest_tick, stop - 1, min(free - 1, tick - LATEST_TICKS))
        return earliest_tick
