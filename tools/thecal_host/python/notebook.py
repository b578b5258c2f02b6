"""Runs `first_steps.ipynb` as a reader would. `python -m thecal_host.python.notebook` writes what it prints
into it anew.

It needs nbclient and ipykernel, which `make desk` brings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

FIRST_STEPS = Path(__file__).with_name("first_steps.ipynb")

# A cell may take so long: starting a kernel on a busy machine does.
PATIENCE_S = 120


def run(path: Path = FIRST_STEPS) -> tuple[Any, Any]:
    """The notebook as it is written, and the same after it was run. A cell that fails raises nbclient's
    error.
    """
    import nbformat
    from nbclient import NotebookClient

    written: Any = nbformat.read(path, as_version=4)
    ran: Any = nbformat.read(path, as_version=4)
    NotebookClient(ran, timeout=PATIENCE_S, kernel_name="python3").execute()
    for cell in ran.cells:
        # When a cell was run is no part of the page.
        cell.metadata.pop("execution", None)
    return written, ran


def printed(notebook: Any) -> list[str]:
    """What each code cell prints."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    return ["".join(output.get("text", "") for output in cell.outputs) for cell in cells]


if __name__ == "__main__":
    import nbformat

    nbformat.write(run()[1], FIRST_STEPS)
