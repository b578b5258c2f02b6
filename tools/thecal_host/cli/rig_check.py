"""`thecal rig check`: first power-on, with a person at the terminal."""

from __future__ import annotations

from fractions import Fraction

import typer

from thecal_host.cli.base import SAID_NO, PortOption, complain, connected, out, say
from thecal_host.cli.rig import rig_app


class Person:
    """Answers at the terminal."""

    def yes(self, ask: object, text: str) -> bool:
        return typer.confirm(text)

    def number(self, ask: object, text: str) -> Fraction:
        while True:
            typed = typer.prompt(text)
            try:
                return Fraction(typed.replace(",", "."))
            except (ValueError, ZeroDivisionError):
                complain(f'expected a number such as 0.5 or 1/2, found "{typed}"')

    def please(self, ask: object, text: str) -> None:
        if "button" in text:  # the pump watches for it
            say(text)
        else:
            typer.prompt(f"{text} Enter goes on", default="", show_default=False)


@rig_app.command()
def check(ctx: typer.Context, port: PortOption = None) -> None:
    """First power-on: is the shaft free, EN, STEP and its way back, direction, encoder, sensors, buttons.

    With water, and nobody connected. The pump is STOPPED; it moves the motor by a turn at most, once you have
    said that the shaft is free and nobody is connected. Ctrl-C stops it.
    """
    from thecal_host import rigging
    from thecal_host.first_power import Verdict
    from thecal_host.first_power.walk import walk
    from thecal_host.pump import PumpError

    with connected(ctx, port) as pump:
        rig = rigging.in_force(pump)
        if rig is None:
            raise PumpError("there is no rig to check: `thecal rig program FILE` comes first")
        wrong = 0
        for found in walk(pump, rig, Person()):
            out.print(
                f"{found.part:>16}  {found.verdict.value:<10}  {found.says}",
                style=STYLE[found.verdict.name],
                markup=False,
                highlight=False,
                soft_wrap=True,
            )
            if found.do:
                say(f"{'':>16}  {'':<10}  {found.do}")
            wrong += found.verdict is Verdict.WRONG
    if wrong:
        complain(
            f"{wrong} found wrong: mend it, or write it into the rig file and program that, and check again"
        )
        raise typer.Exit(SAID_NO)
    say("All that could be checked is as the rig says.")


STYLE = {"GOOD": "green", "NOT_FITTED": "dim", "NOT_TRIED": "yellow", "WRONG": "bold red"}
