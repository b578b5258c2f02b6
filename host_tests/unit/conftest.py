"""What tests of the command `thecal` are given."""

from pump_port import run, therapy_file  # noqa: F401 (fixtures)
