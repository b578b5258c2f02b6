"""Chip tests that begin with the same booted board: it boots once, and each goes on with a copy of it.

A boot is a hundred million cycles of the emulated processor, often most of what a test costs. The copy is a
child process, made by `fork`: no state is saved or put back, and the emulator gives the same run as after a
boot of the test's own. `from_boot` marks a test that begins so; its first argument is the `Rig`, instead of
`image`. The child says how the test ended, and which figures it measured.
"""

from __future__ import annotations

import functools
import inspect
import os
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
from rig import Rig

__all__ = ("from_boot",)


@functools.cache
def _booted(image: Path, program: str | None) -> Rig:
    """One that nobody lets go on in this process."""
    return Rig(image, program)


def from_boot(test: Callable[..., None], program: str | None = None) -> Callable[..., None]:
    """`test(rig, ...)` as a test that takes `image` and whatever else it asks for. With a `program`, typed at
    the prompt, write `@partial(from_boot, program=PROGRAM)`.
    """

    def run(image: Path, **fixtures: object) -> None:
        rig = _booted(image, program)
        source, sink = os.pipe()
        child = os.fork()
        if not child:
            os.close(source)
            _tell(sink, *_outcome(test, rig, fixtures))
        os.close(sink)
        with os.fdopen(source, "rb") as told:
            said = told.read()
        _, status = os.waitpid(child, 0)
        if not said:
            pytest.fail(f"the copy of the board ended with status {status} and said nothing")
        failed, measured = pickle.loads(said)
        if failed:
            pytest.fail(failed, pytrace=False)
        for figures in measured:
            fixtures["measured"](*figures)  # pyright: ignore[reportCallIssue]

    _, *others = inspect.signature(test).parameters.values()
    image = inspect.Parameter("image", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    functools.update_wrapper(run, test)
    run.__signature__ = inspect.Signature([image, *others])  # pyright: ignore[reportFunctionMemberAccess]
    return run


def _outcome(
    test: Callable[..., None], rig: Rig, fixtures: dict[str, object]
) -> tuple[str, list[tuple[float, ...]]]:
    """In the child: the traceback of what failed, if anything did, and what was measured."""
    measured: list[tuple[float, ...]] = []
    if "measured" in fixtures:
        fixtures = {**fixtures, "measured": lambda *figures: measured.append(tuple(map(float, figures)))}
    try:
        test(rig, **fixtures)
    except BaseException:
        return traceback.format_exc(), measured
    return "", measured


def _tell(sink: int, *outcome: object) -> None:
    """Ends the child: nothing that belongs to the parent is closed, flushed or torn down by it."""
    with os.fdopen(sink, "wb") as told:
        pickle.dump(outcome, told)
    os._exit(0)
