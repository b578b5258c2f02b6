"""Completion of what is typed: the shell asks `thecal` itself, through a script that this installs.

Typer writes the scripts and answers the shell; only that it is asked at all is done here.
"""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Annotated

import typer

from thecal_host.cli.base import app, say
from thecal_host.files import why_not

NAME = "thecal"
ASKED_BY = "_THECAL_COMPLETE"
"""The variable in which a shell says that it wants words and not a command carried out."""


class Shell(StrEnum):
    """The shells for which there is a script."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command(rich_help_panel="This command")
def completion(
    shell: Annotated[Shell, typer.Argument(help="Which shell")],
    show: Annotated[bool, typer.Option("--show", help="Print the script, change nothing")] = False,
) -> None:
    """Let the shell complete commands, options, ports and numbers of runs."""
    from typer._completion_shared import get_completion_script, install

    if show:
        print(get_completion_script(prog_name=NAME, complete_var=ASKED_BY, shell=shell.value))
        return
    try:
        _, path = install(shell=shell.value, prog_name=NAME, complete_var=ASKED_BY)
    except OSError as why:
        raise why_not(why.filename or "the script", why) from None
    say(f"{path} is written; a new {shell.value} completes `{NAME}`.")


def answer_shell() -> None:
    """Know the shells, where one asks."""
    if ASKED_BY in os.environ:
        from typer._completion_classes import completion_init

        completion_init()
