"""What becomes of the host's commands: known or new, held, written down, carried out or cancelled, answered.

How to read it: `Host.obey` is one tick. A held stop whose time has come acts first. Then what waits and can
act does, in order of acceptance, and after it each request of this tick: one that only reads is answered, a
stop acts at once, anything else goes into the one queue (`link/queue.py`) and is carried out when it is its
turn, what its flow needs is booked, and it can act no second time: its ID is written down
(`record/outcomes.py`), or it names this boot and no other will take it.

The law (ALM-05, REC-04): a stop, by a command, a held one when its time has come, or by the button, ends flow
and cancels all that was accepted before it, whatever it waits for. Nothing of it ever acts. The motor stops
in the tick of the stop; the answer comes when the record of it has been read back.
"""

from . import states
from .causes import CANCELLED as WAS_CANCELLED
from .causes import CAUSES, STOP_HELD
from .link import commands
from .link.answers import LAST_BYTES, LastAnswers, StopAnswers, not_kept
from .link.queue import MOST_WAITING, NO_PLACE, Queue
from .link.session import has_id, refusal, reply_to
from .probe import Probe
from .record import events
from .record.outcomes import (
    CANCELLED,
    CUT,
    DENIED,
    DONE,
    NOWHERE,
    REFUSED,
    RESULTS,
    WAITING,
    Outcomes,
    key,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .control import Control
    from .critical import Critical
    from .link.commands import Command
    from .link.frame import FrameWriter
    from .signals import Inputs, Outputs


MOST_WRITE_TICKS = 40  # own choice: twice what the longest week takes, and less than a host waits
EXPECT_TICKS = 6  # a command that is due so soon has its ID written down and its motion booked

BY_STOP = "cancelled: stop"
BY_CANCEL = "cancelled: cancel"


class Host:
    """The host's commands. Without a `persistence` an ID is known until the next boot."""

    def __init__(
        self,
        control: "Control",
        critical: "Critical",
        handlers,
        status,
        stop_button,
        persistence,
        session,
        writer: "FrameWriter",
    ) -> None:
        self.control = control
        self.critical = critical
        self.handlers = handlers
        self.keyring = handlers.keyring
        self.status = status
        self.stop_button = stop_button
        self.persistence = persistence
        self.session = session
        self.writer = writer
        self.queue = Queue()
        self.working = None  # the entry that is being carried out and takes more than a tick
        self.probe = Probe(handlers.rig)
        self.stops = StopAnswers()
        self.unwritten = []  # answers to confirmations: [entry, answer, ticket of the journal or -1, tick]
        self.last = LastAnswers()
        self.outcomes = persistence.journal.outcomes if persistence else Outcomes()

    # --- once a tick

    def obey(self, inputs: "Inputs", outputs: "Outputs") -> None:
        """Carry out what this tick's requests, and those that waited, ask for."""
        session = self.session
        queue = self.queue
        if self.stops.waiting:
            self._answer_stops(outputs)
        if self.unwritten:
            self._answer_written(outputs)
        if self.probe.asked:
            self._send(outputs, self.probe.answer(inputs))
        if queue.waiting:
            self._stop_in_time(outputs)
        keyring = self.keyring
        if keyring.active:
            if keyring.step():
                self.cancel_all(outputs)  # nobody had signed it
            outputs.read_pads = outputs.read_pads or keyring.asks_for_jumper()
        if inputs.rx_len or keyring.active:
            keyring.jumper = inputs.maintenance
        session.begin_tick(inputs, outputs)
        if self.working is not None:
            self._go_on(outputs)
        if queue.waiting:
            self._carry_out_due(inputs, outputs)
        if session.more:
            self._take_requests(inputs, outputs)
        if queue.waiting and self.persistence:
            self._expect()

    def kept(self) -> None:
        """After what is written of this tick is chosen: stops in it are in that record."""
        if self.stops.waiting and self.persistence:
            self.stops.stamp(self.persistence.journal.state.save_ticket)

    def cancel_all(self, outputs: "Outputs") -> None:
        """A stop: all that waits is over, and so is a proposal in the making."""
        self.handlers.forget_proposals()
        if self.working:
            self._entry_cancelled(self.working, BY_STOP, outputs)
            self.working = None
        for entry in self.queue.take_all():
            self._entry_cancelled(entry, BY_STOP, outputs)

    # --- what a request is

    def _take_requests(self, inputs: "Inputs", outputs: "Outputs") -> None:
        """The requests that have come, as many as a tick takes."""
        session = self.session
        while session.more:
            request = session.next(outputs)
            if session.refusal is not None:
                self._send(outputs, session.refusal)
            if request is not None:
                self._take(request, inputs, outputs)
                self._carry_out_due(inputs, outputs)
        if session.stop_ahead():
            # Behind a flood: it acts now, and is answered, and may silence something, when it is its turn.
            self._stop_now(outputs)
        if session.keys.bad and not self.keyring.active:
            self.keyring.tell_bad()  # else in its next step

    def _take(self, request: dict, inputs: "Inputs", outputs: "Outputs") -> None:
        """A request whose form is right."""
        command = commands.COMMANDS[commands.COMMANDS.find(request["cmd"])]
        if command.changes == commands.READS:
            self._read(request, inputs, outputs)
            return
        held = "at_tick" in request and request["at_tick"] - command.changes > self.control.clock.tick
        if command.name == commands.STOP and not held:
            self._stop(request, self._opened(request, command), outputs, self.session.trusted)
            return
        place = self.outcomes.find(id_of(request)) if has_id(request) else NOWHERE
        if place != NOWHERE and command.name != commands.STOP:
            self._again(request, place, outputs)
        elif command.name != commands.STOP and request.get("boot", self._boot()) != self._boot():
            text = "for boot %d, and this is boot %d: it may have been carried out then, and is not now"
            self._send(outputs, refusal(request, "other_boot", text % (request["boot"], self._boot())))
        elif command.name == commands.CANCEL:
            place = self._opened(request, command)
            self._finish(request, place, self._cancel(request, outputs), outputs)
        elif self.session.before_stop():
            place = self._opened(request, command)
            self._cancelled(request, command, place, BY_STOP, outputs)
        elif self.stop_button.held and (command.moves or held) and command.name != commands.STOP:
            self.control.teller.event(events.DENIED, commands.COMMANDS.find(command.name), STOP_HELD)
            self._send(outputs, refusal(request, "stop_held", "the STOP button is held down"))
        elif self.queue.full():
            text = "%d commands wait, and no more can (see `held`, `cancel`)" % MOST_WAITING
            self._send(outputs, refusal(request, "busy", text))
        elif not self.session.trusted and (self.working or self.queue.waiting):
            self._send(outputs, refusal(request, "busy", "what somebody has signed comes first"))
        elif command.is_large and self.queue.holds_large():
            self._send(outputs, refusal(request, "busy", "a therapy or a library waits already"))
        else:
            place = self._opened(request, command)
            self.queue.accept(request, command, self.control.clock.tick, place)
            if held:
                answer = reply_to(request)
                answer["ok"] = answer["held"] = True
                self._send(outputs, answer)

    def _opened(self, request: dict, command: "Command"):
        """The place of its outcome from now on, or NO_PLACE for a stop without an ID."""
        if not has_id(request) or not self.session.trusted:  # nobody drives out what others did
            return NO_PLACE
        wanted = id_of(request)
        row = commands.COMMANDS.find(command.name)
        place = self.outcomes.find(wanted)
        if place != NOWHERE:  # a stop, which always acts, whosever ID it has
            return place if self.outcomes.told(place)[1] == row else NO_PLACE
        return self.outcomes.open(wanted, self.session.frame(), self.control.clock.tick, row)

    def _again(self, request: dict, place: int, outputs: "Outputs") -> None:
        """An ID that is known: the first answer, and nothing is done."""
        if not self.outcomes.same(place, self.session.frame()):
            self._send(outputs, refusal(request, "id_reused", "the ID was given to another command"))
            return
        text = self.last.find(id_of(request))
        if text:
            self.writer.send_json(outputs, text)
            return
        answer = self._told(place)
        result = self.outcomes.result(place)
        answer.update(reply_to(request))
        answer["ok"] = result in (DONE, DENIED, WAITING)
        if result == WAITING:
            answer["held"] = True
        elif result == DENIED:
            answer["granted"] = False
        elif not answer["ok"]:
            answer["error"] = RESULTS[result]
            answer["message"] = "it was %s, and is not carried out again" % RESULTS[result]
        self._send(outputs, answer)

    def _told(self, place: int):
        """What is known of a command, for an answer."""
        tick, row, result, why = self.outcomes.told(place)
        told = {"command": commands.COMMANDS[row].name, "outcome": RESULTS[result], "tick": tick}
        if why:
            told["reason"] = CAUSES[why]
        return told

    def _read(self, request: dict, inputs: "Inputs", outputs: "Outputs") -> None:
        name = request["cmd"]
        if name == "probe":
            answer = self.probe.ask(request, outputs)
            if answer is None:
                return
        elif name == "outcome":
            answer = self._outcome(request)
        elif name == "held":
            answer = self._held(request)
        else:
            self.critical.before_change()
            if name == "status":
                self.status.send(inputs, outputs)
                if "id" not in request:
                    return
            answer = self.handlers.carry_out(request)
        self._send(outputs, answer)

    def _outcome(self, request: dict):
        """What became of the command with an ID."""
        place = self.outcomes.find(key(int(request["of_run"], 16), request["of"]))
        if place != NOWHERE:
            answer = self._told(place)
        else:  # what named another boot may have acted then
            other = request.get("of_boot", self._boot()) != self._boot()
            answer = {"outcome": RESULTS[CUT] if other else "unknown"}  # type: dict
        answer.update(reply_to(request))
        answer["ok"] = True
        return answer

    def _held(self, request: dict):
        """What waits, in order of acceptance."""
        answer = reply_to(request)
        answer["ok"] = True
        answer["most"] = MOST_WAITING
        answer["held"] = []
        for entry in self.queue.waiting:
            told = {"number": entry.number, "cmd": entry.command.name}
            for name in ("id", "run", "at_tick"):
                if name in entry.request:
                    told[name] = entry.request[name]
            answer["held"].append(told)
        return answer

    def _cancel(self, request: dict, outputs: "Outputs"):
        """Cancel one that waits, by the number that `held` tells, or by its ID."""
        wanted = None
        if "of" in request and "of_run" in request:
            wanted = key(int(request["of_run"], 16), request["of"])
        elif "number" not in request:
            return refusal(request, "bad_argument", "needs number, or of and of_run")
        entry = self.queue.find(request.get("number", 0), id_or_none, wanted)
        if entry is None:
            return refusal(request, "refused", "no such command waits")
        self.queue.take(entry)
        self._entry_cancelled(entry, BY_CANCEL, outputs)
        answer = reply_to(request)
        answer["ok"] = True
        return answer

    # --- carrying out

    def _carry_out_due(self, inputs: "Inputs", outputs: "Outputs") -> None:
        """What is due and can act, in order; the first one that has to wait holds up the rest."""
        while True:
            entry = self.queue.first(self.control.clock.tick)
            if entry is None or not self._may_act(entry):
                return
            self.queue.take(entry)
            self._carry_out(entry, outputs)

    def _may_act(self, entry):
        """Whether what its flow needs is written down, and it can act no second time; or never will be."""
        persistence = self.persistence
        if self.working and entry.command.name in commands.ABOUT_PROPOSALS:
            return False
        in_time = self._changes_flow(entry) or entry.request.get("at_tick", 0) <= self.control.clock.tick
        if not persistence or not persistence.writes():
            return in_time
        once = entry.command.proposes or entry.place == NO_PLACE or self._acts_once(entry)
        flow = entry.command.changes == commands.FLOW
        return (not flow or self.handlers.ready(entry.request)) and once and in_time

    def _changes_flow(self, entry):
        """Whether it takes effect at the end of the tick. A therapy that stops what flows does so at once:
        one without a flow, or another one in a prime or a jog.
        """
        last = self.handlers.programming.proposals.last
        if entry.command.name == commands.CONFIRM and last and last.therapy:
            return len(last.therapy.basal) > 0 and self.control.state not in states.JUDGED
        return entry.command.changes == commands.FLOW

    def _acts_once(self, entry):
        if "boot" in entry.request:
            return self.persistence.journal.state.started  # the number of this boot is written down
        self.outcomes.announce(entry.place)
        return self.outcomes.announced(entry.place)

    def _boot(self):
        """The number of this boot."""
        return self.persistence.resets.count if self.persistence else 0

    def _expect(self) -> None:
        """Have written down in time what those need that are held for one of the next ticks."""
        for entry in self.queue.waiting:
            if (
                entry.turn_tick - self.control.clock.tick < EXPECT_TICKS
                and entry.command.name != commands.STOP
            ):
                self._may_act(entry)

    def _carry_out(self, entry, outputs: "Outputs") -> None:
        self.critical.before_change()
        if self._changes_flow(entry):
            self.control.teller.early = True
            self.control.to_boundary()
        answer = self.handlers.carry_out(entry.request)
        self.control.teller.early = False
        if answer is None:
            self.working = entry
        elif entry.command.name == commands.CONFIRM and answer["ok"] and self._is_written():
            self.unwritten.append([entry, answer, -1, self.control.clock.tick])
        else:
            self._finish(entry.request, entry.place, answer, outputs)

    def _is_written(self):
        """Whether what was just confirmed is being written: what is in force, a reset finds no sooner."""
        persistence = self.persistence
        return persistence and persistence.writes() and persistence.busy() and not persistence.restarting

    def _answer_written(self, outputs: "Outputs") -> None:
        """Answer the confirmation whose record is read back, so that no reset undoes what was answered."""
        entry, answer, ticket, since_tick = waiting = self.unwritten[0]
        persistence = self.persistence
        state = persistence.journal.state
        if ticket < 0 and not persistence.busy():
            waiting[2] = ticket = state.save_ticket
        written = 0 <= ticket <= state.saved_ticket
        late = self.control.clock.tick - since_tick >= MOST_WRITE_TICKS
        if not written and not late and persistence.writes():
            return
        if not written:
            answer["kept"] = False
            answer["message"] = "in force, but this cannot be written down: a reset may undo it"
        self.unwritten.pop(0)
        self._finish(entry.request, entry.place, answer, outputs)

    def _go_on(self, outputs: "Outputs") -> None:
        """Go on with what takes more than a tick."""
        entry = self.working
        if entry is None:
            return
        self.session.reader.spend(commands.GOING_ON_WORK)
        answer = self.handlers.go_on(entry.request)
        if answer is not None:
            self.working = None
            self._finish(entry.request, entry.place, answer, outputs)

    def _finish(self, request: dict, place: int, answer: dict, outputs: "Outputs") -> None:
        """Answer, and keep what became of it."""
        result, why = DONE, 0
        if not answer["ok"]:
            result = CANCELLED if answer["error"] == "cancelled" else REFUSED
            why = CAUSES.index(answer["reason"]) if "reason" in answer else 0
        elif answer.get("granted") is False:
            result, why = DENIED, CAUSES.index(answer["reason"])
        self.writer.send_object(outputs, answer)
        if place != NO_PLACE:
            self.outcomes.close(place, result, why, self.control.clock.tick)
            self.last.keep(id_of(request), self.writer.sent_json(LAST_BYTES))

    def _entry_cancelled(self, entry, message: str, outputs: "Outputs") -> None:
        self._cancelled(entry.request, entry.command, entry.place, message, outputs)

    def _cancelled(
        self, request: dict, command: "Command", place: int, message: str, outputs: "Outputs"
    ) -> None:
        self.control.teller.event(events.DENIED, commands.COMMANDS.find(command.name), WAS_CANCELLED)
        self._finish(request, place, refusal(request, "cancelled", message), outputs)

    # --- stops

    def _stop_in_time(self, outputs: "Outputs") -> None:
        """Those that were held until now."""
        entry = self.queue.stop_due(self.control.clock.tick)
        while entry is not None:
            self._stop(entry.request, entry.place, outputs)
            entry = self.queue.stop_due(self.control.clock.tick)

    def _stop(self, request: dict, place: int, outputs: "Outputs", trusted=True) -> None:
        """The motor first; the answer when the record of it is read back."""
        self._stop_now(outputs)
        answer = self.handlers.carry_out(request) if trusted else self.keyring.unsigned_stop(request)
        if place != NO_PLACE:
            self.outcomes.close(place, DONE, 0, self.control.clock.tick)
        persistence = self.persistence
        if not persistence or persistence.rests():
            self._send(outputs, answer)
        elif not persistence.writes():
            self._send(outputs, not_kept(answer))
        elif self.stops.full():
            text = "the pump is %s; this answer waits for no record" % states.STATES[self.control.state]
            self._send(outputs, refusal(request, "busy", text))
        else:
            self.stops.add(answer, self.control.clock.tick)

    def _stop_now(self, outputs: "Outputs") -> None:
        self.critical.before_change()
        self.cancel_all(outputs)
        self.control.end_flow()

    def _answer_stops(self, outputs: "Outputs") -> None:
        persistence = self.persistence
        while self.stops.waiting:
            answer = self.stops.next(
                persistence.journal.state.saved_ticket, not persistence.writes(), self.control.clock.tick
            )
            if answer is None:
                return
            self._send(outputs, answer)

    def _send(self, outputs: "Outputs", answer: dict) -> None:
        self.writer.send_object(outputs, answer)


def id_of(request: dict):
    """The ID of a request that has one, as it is kept."""
    return key(int(request["run"], 16), request["id"])


def id_or_none(request: dict):
    """The same, or None."""
    return id_of(request) if has_id(request) else None
