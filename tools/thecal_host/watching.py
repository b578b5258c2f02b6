"""`thecal monitor`: a pump's frames on a screen, and keys that reach it meanwhile.

`watch` shows what comes and sends what a key stands for at once, without waiting for the reply: that is shown
when it is there.
"""

from __future__ import annotations

from rich.console import Console
from thecal.link.commands import STOP
from thecal_model.link import UNHEARD
from thecal_model.text import clock_text, event_text

from thecal_host import rigging
from thecal_host.connection import PortError
from thecal_host.keyboard import Keyboard
from thecal_host.listening import Away, Back, listen
from thecal_host.live import LiveView, from_status
from thecal_host.pump import REPLY_TIMEOUT_S, Pump

QUIT = "q"
COMMANDS = {"s": "stop", "a": "acknowledge"}
"""What a key sends."""

KEYS = "   ".join([*(f"{key} {command}" for key, command in COMMANDS.items()), f"{QUIT} quit"])
"""As it is shown on the screen."""


class _Sent:
    """What keys have sent, until it is answered."""

    def __init__(self, pump: Pump) -> None:
        self._pump = pump
        self._waiting: dict[int, tuple[str, float]] = {}

    def send(self, command: str) -> str:
        try:
            request_id = self._pump.client.request(command)
        except PortError:
            return f"{command}: NOT SENT, the line is lost"
        self._waiting[request_id] = command, self._pump.clock_s() + REPLY_TIMEOUT_S
        return f"{command}: sent"

    def answers(self) -> str:
        """What came of the last one that was answered, or was not in time; empty if nothing new."""
        said = ""
        for request_id, (command, until_s) in list(self._waiting.items()):
            reply = self._pump.client.reply(request_id)
            if reply is not None and command == STOP and reply.get("error") in UNHEARD:
                # Not signed as it should be: a stop acts without that, too.
                self._pump.client.again(request_id, signed=False)
            elif reply is not None:
                del self._waiting[request_id]
                done = f"the pump is {reply['state']}" if "state" in reply else "done"
                said = f"{command}: {done if reply.get('ok') is True else reply.get('message') or 'refused'}"
            elif self._pump.clock_s() >= until_s:
                del self._waiting[request_id]
                said = f"{command}: NO ANSWER, switch the motor supply off if the pump must stop"
        return said


def watch(pump: Pump, console: Console) -> None:
    """Show what the pump tells until `q` or Ctrl-C (KeyboardInterrupt); a lost line is opened again."""
    empty_nl, rig = pump.empty_nl(), rigging.in_force(pump)
    unwatched = [] if rig is None else rig.unwatched()
    sent = _Sent(pump)
    pump.overheard.clear()
    with (
        Keyboard() as keyboard,
        LiveView(pump.port.name, console, keys=KEYS if keyboard.there else "", unwatched=unwatched) as view,
    ):
        for heard in listen(pump):
            if isinstance(heard, Away):
                view.note(f"THE LINE IS LOST, trying again: {heard.why}")
            elif isinstance(heard, Back):
                view.event(f"back after {heard.away_s:.0f} s without a line")
            for frame in heard if isinstance(heard, list) else ():
                if frame["type"] == "status":
                    view.show(from_status(frame, pump.nl_per_step, pump.tick_ms, empty_nl, rig))
                elif frame["type"] == "event":
                    view.event(f"{clock_text(frame['tick'] * pump.tick_ms):>9}  {event_text(frame)}")
            for key in keyboard.pressed():
                if key == QUIT:
                    return
                if key in COMMANDS:
                    view.note(sent.send(COMMANDS[key]))
            said = sent.answers() or losses_text(pump)
            if said and not isinstance(heard, Away):
                view.note(said)


def losses_text(pump: Pump) -> str:
    """What was lost on the way, if anything."""
    client = pump.client
    counts = ((client.gaps, "frames lost"), (client.crc_errors, "CRC errors"), (client.restarts, "restarts"))
    return ", ".join(f"{count} {what}" for count, what in counts if count)
