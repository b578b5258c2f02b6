"""The command `thecal`: talk to a pump, emulated or real, run experiments, and draw what came of them.

Every command is a few lines: it opens what it needs, calls a module that does the work, prints. What is heavy
to import (the emulator, matplotlib) is imported by the command that needs it. `base` is what all of them
share; the other files hold the commands and are imported in the order in which `--help` lists them.
"""
# ruff: noqa: I001

from __future__ import annotations

from thecal_host.cli import (
    watch,
    therapies,
    orders,
    pairing,
    rig,
    rig_check,
    experiments,
    reports,
    runs,
    weighing,
    accuracy,
    desk,
    gateway,
    completion,
)
from thecal_host.cli.base import app

__all__ = [
    "accuracy",
    "app",
    "completion",
    "desk",
    "experiments",
    "gateway",
    "main",
    "orders",
    "pairing",
    "reports",
    "rig",
    "rig_check",
    "runs",
    "therapies",
    "watch",
    "weighing",
]


def main() -> None:
    """Entry point of the command."""
    completion.answer_shell()
    app()
