"""The rigs of a file: its own, and those that events give the pump."""

from __future__ import annotations

from pathlib import Path as FilePath

from thecal.rig import Rig
from thecal_model import rig as rigs
from thecal_model.document import Document
from thecal_model.problems import InputError


def rig_of(document: Document, file: str) -> Rig | None:
    """One of the project's by its name, or a file, from where the scenario is; None, and problems, where it
    is none.
    """
    try:
        return rigs.load(file if file in rigs.NAMES else FilePath(document.name).parent / file)
    except InputError as why:
        document.problems.extend(why.problems)
        return None
