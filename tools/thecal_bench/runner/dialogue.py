"""Question and answer with the pump of a bench, tick by tick; how a board is told what hangs on its pins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from thecal.clock import TICK_MS
from thecal.rig import Rig
from thecal_model.link import LinkClient, LinkError

from thecal_bench.bench import Bench
from thecal_bench.runner.findings import Record
from thecal_bench.runner.proposals import RunError, TherapyRefused

HELLO_TICKS = 10
HELLO_TRIES = 10
REPLY_TICKS = 60

MEANT = {"program": "the therapy", "rig": "the rig", "confirm": "what it read back"}
"""What is sent with a command, for messages."""


class Dialogue:
    """With the pump of one bench. Each question raises RunError where no answer comes, or another."""

    def __init__(self, bench: Bench, link: LinkClient) -> None:
        self._bench = bench
        self._link = link

    def meet(self) -> Record:
        """Wait until the pump answers and is stopped; gives its hello."""
        self._bench.advance_to_tick(max(0, self._bench.tick))
        hello = self._hello(lambda _hello: True)
        if hello["state"] != "STOPPED":
            raise RunError(
                f"the pump is {hello['state']}, an experiment begins with it STOPPED: stop it first"
            )
        return hello

    def give_rig(self, rig: Rig, hello: Record) -> Record:
        """Have `rig` confirmed with all that it leaves unwatched, and wait for the restart; gives the hello
        of the pump that runs on it.
        """
        number, unwatched = hello["rig_number"], rig.unwatched()
        proposal = self._must("rig", rig=rig.tables)
        if proposal["readback"].get("soft", []) != unwatched:
            raise RunError(f"the pump leaves unwatched {proposal['readback'].get('soft')}, not {unwatched}")
        self._must("confirm", digest=proposal["digest"], **({"accept": unwatched} if unwatched else {}))
        hello = self._hello(lambda hello: hello["rig_number"] != number)
        if hello["rig_number"] == number or hello["state"] != "STOPPED":
            raise RunError(
                f"the pump is {hello['state']} on rig {hello['rig']}, not STOPPED on {rig.name}: "
                "see what is wired"
            )
        self._link.forget_losses()
        return hello

    def _hello(self, is_it: Callable[[Record], bool]) -> Record:
        """That of a pump whose self-test is over; one that has just been switched on takes some ticks."""
        bench, hello = self._bench, None
        latest = bench.tick + HELLO_TRIES * HELLO_TICKS
        while bench.tick < latest and (
            hello is None or hello["state"] in ("BOOT", "POST") or not is_it(hello)
        ):
            hello = self._ask("hello", HELLO_TICKS)
        if hello is None:
            raise RunError(f"no pump answers `hello` in {HELLO_TRIES * HELLO_TICKS * TICK_MS // 1000} s")
        return hello

    def _ask(self, cmd: str, ticks: int, **args: Any) -> Record | None:
        number = self._link.request(cmd, **args)
        for _ in range(ticks):
            self._bench.advance_to_tick(self._bench.tick + 1)
            reply = self._link.reply(number)
            if reply is not None and "held" not in reply:
                return reply
        return None

    def _must(self, cmd: str, **args: Any) -> Record:
        what = MEANT.get(cmd, f"`{cmd}`")
        try:
            reply = self._ask(cmd, REPLY_TICKS, **args)
        except LinkError as why:
            raise TherapyRefused(f"{self._place_of(cmd)}{what} cannot be sent: {why}") from None
        if reply is None:
            raise RunError(f"the pump does not answer `{cmd}`")
        if not reply["ok"]:
            why = reply.get("message") or reply.get("error")
            raise TherapyRefused(f"{self._place_of(cmd)}the pump refuses {what}: {why}")
        return reply

    def _place_of(self, cmd: str) -> str:
        """Where that stands which is sent with a command, if anywhere."""
        return ""
