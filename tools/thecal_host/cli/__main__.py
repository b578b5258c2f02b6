"""`python -m thecal_host.cli` is `thecal`."""

from thecal_host.cli import main

main()
