"""`thecal rig check`: first power-on, step by step (RIG-06).

`walk` is the way through it, `motor` and `senses` are its steps, `judging` says what a turn of the rotor
means. What the pump can judge it judges; what it cannot see somebody else says (`thecal_model.asking`): a
person at the terminal, or the plant of a bench. Every step gives a `Finding`; one that is wrong says what to
do.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """What came of a step."""

    GOOD = "good"
    NOT_FITTED = "not fitted"
    NOT_TRIED = "not tried"
    WRONG = "WRONG"


@dataclass(frozen=True)
class Finding:
    """What was found of one part; `do` says what to do about it."""

    part: str
    verdict: Verdict
    says: str = ""
    do: str = ""
