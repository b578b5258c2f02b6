"""A run of the archive as a run that can be judged, by the same reader as a record's file."""

from __future__ import annotations

from thecal_host.archive.store import Archive
from thecal_host.record import run_of_loaded
from thecal_host.recording import Loaded, load_text
from thecal_host.report import Run


def loaded_from(archive: Archive, number: int) -> Loaded:
    """The record of a run; a problem is told as `run 7:12`. Raises ArchiveError, RecordError."""
    return load_text(f"run {number}", archive.text(number))


def run_of_archive(archive: Archive, number: int) -> tuple[Run, Loaded]:
    """A run to be judged, and its record. Raises ArchiveError, RecordError."""
    loaded = loaded_from(archive, number)
    return run_of_loaded(f"run {number}", loaded), loaded
