"""The archive: every run that was recorded on this machine, in one SQLite file of the user.

A run is kept while it happens, line by line, as the very lines of a record (`recording`): whoever exports
them has the file that `thecal record` would have written. `store` holds the file, its tables and what is read
from it, `keeping` writes a run, `gaps` says where lines are missing, `exporting` and `comparing` are what is
made of runs.

The file is `archive.sqlite` in the user's data folder, or what `THECAL_ARCHIVE` names.
"""

from thecal_host.archive.keeping import Keeping, keeping
from thecal_host.archive.store import Archive, ArchiveError, KeptRun, place

__all__ = ["Archive", "ArchiveError", "Keeping", "KeptRun", "keeping", "place"]
