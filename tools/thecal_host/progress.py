"""How far something is that takes more than two seconds, and how long it still takes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

# Without a terminal one line of progress this often: enough to see in a log that it lives.
PLAIN_PROGRESS_S = 10.0


@contextmanager
def progress_bar(what: str, console: Console, lines: Console) -> Iterator[Callable[[float, float], None]]:
    """Something to call with (done, total) now and then. `lines` is where records are printed meanwhile.

    On a terminal a bar that goes away, with the time left; else a line every ten seconds on `console`.
    """
    if not console.is_terminal:
        begun_s = last_s = time.monotonic()

        def tell(done: float, total: float) -> None:
            nonlocal last_s
            now_s = time.monotonic()
            if now_s - last_s >= PLAIN_PROGRESS_S:
                last_s = now_s
                percent = round(100 * done) // max(round(total), 1)
                left = f", {(now_s - begun_s) * (total - done) / done:.0f} s left" if done else ""
                text = f"{what}: {percent} % after {now_s - begun_s:.0f} s{left}"
                console.print(text, highlight=False, soft_wrap=True)

        yield tell
        return
    # Lines to the same terminal have to go through the bar's console, lines to a file must not.
    same = lines.is_terminal
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
               TimeRemainingColumn())  # fmt: skip
    bar = Progress(*columns, console=lines if same else console, transient=True, redirect_stdout=same)
    with bar:
        task = bar.add_task(what)
        yield lambda done, total: bar.update(task, completed=done, total=total)
