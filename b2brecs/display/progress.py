"""Progress that fits where it is shown: a bar in a terminal or a notebook, nothing in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html import escape
from typing import Any

Report = Callable[[str, int, int | None], None]
_EVERY_S = 0.2


@contextmanager
def progress(title: str) -> Iterator[Report]:
    """Show progress while the block runs.

    Yields a function ``report(stage, done, total)``; ``total`` is None when it is not known.
    """
    if _in_notebook():
        yield from _notebook(title)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _stage, _done, _total: None
        return
    columns: tuple[Any, ...] = (
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(f"{title}: {stage}", total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report


def _notebook(title: str) -> Iterator[Report]:
    """Update one plain HTML output; unlike a widget it is still there when the notebook is opened again."""
    from IPython import display as page

    html: Any = page.HTML  # IPython declares no types
    display: Any = page.display

    start = last = time.monotonic()

    def show(text: str, share: float | None = None) -> Any:
        bar = "" if share is None else f"<progress value='{share:.3f}' max='1'></progress> "
        return html(f"<span>{bar}{escape(title)}: {escape(text)}</span>")

    handle = display(show("starting"), display_id=True)

    def report(stage: str, done: int, total: int | None) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= _EVERY_S:
            last = now
            count = f"{done:,}" + (f" of {total:,}" if total else "")
            handle.update(show(f"{stage}, {count}, {now - start:.0f} s", done / total if total else None))

    try:
        yield report
    except BaseException:
        handle.update(show(f"stopped after {time.monotonic() - start:.1f} s"))
        raise
    handle.update(show(f"done in {time.monotonic() - start:.1f} s"))


def _in_notebook() -> bool:
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and shell.__class__.__name__ == "ZMQInteractiveShell"
