"""Progress that fits where it is shown: bars in a terminal or a notebook, a line now and then in a log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

from b2brecs.display.units import rate_text, seconds_text, size_text

_log = logging.getLogger("b2brecs")
_PAGE_EVERY_S = 0.2
_LOG_EVERY_S = 10.0


class Report(Protocol):
    """What tells how far a piece of work is; ``total`` is None when it is not known, ``size`` is bytes so far."""

    def __call__(self, stage: str, done: int, total: int | None, size: int = 0) -> None: ...


@dataclass(frozen=True)
class Reading:
    """How far a stage is, and how fast it goes; ``left`` is seconds to its end, if that can be told."""

    stage: str
    done: int
    total: int | None
    size: int
    rate: float | None
    left: float | None
    unit: str

    @property
    def share(self) -> float | None:
        """How much of the stage is done, 0 to 1."""
        return min(self.done / self.total, 1.0) if self.total else None

    def count(self) -> str:
        """Return rows and bytes so far."""
        text = f"{self.done:,}" + (f" of {self.total:,}" if self.total else "")
        text += f" {self.unit}" if self.unit else ""
        return f"{text}, {size_text(self.size)}" if self.size else text

    def speed(self) -> str:
        """Return the speed; only work that is counted in a unit has one."""
        return rate_text(self.rate, self.unit) if self.unit and self.rate else ""

    def __str__(self) -> str:
        left = f"about {seconds_text(self.left)} left" if self.unit and self.left else ""
        return ", ".join(part for part in (self.stage, self.count(), self.speed(), left) if part)


@dataclass
class _Stage:
    begun: float
    done: int = 0
    size: int = 0


class Meter:
    """Works out speed and remaining time from what is reported; safe for reports from several threads.

    Parameters
    ----------
    unit
        What ``done`` counts, such as "rows"; empty where a speed means nothing.
    clock
        Seconds that only grow.
    """

    def __init__(self, unit: str = "", clock: Callable[[], float] = time.monotonic) -> None:
        self.unit, self._clock = unit, clock
        self.begun = self._last = clock()
        self._stages: dict[str, _Stage] = {}
        self._lock = threading.Lock()

    def take(self, stage: str, done: int, total: int | None, size: int = 0) -> Reading:
        """Take a report and return what it means."""
        with self._lock:
            now = self._clock()
            seen = self._stages.get(stage)
            if seen is None or done < seen.done:
                # A stage that starts over, after a fault that passed, is timed anew.
                seen = self._stages[stage] = _Stage(self._last if seen is None else now)
            seen.done, seen.size, self._last = done, size, now
            spent = now - seen.begun
            rate = done / spent if spent > 0 and done else None
            left = (total - done) / rate if rate and total and total >= done else None
        return Reading(stage, done, total, size, rate, left, self.unit)

    @property
    def seconds(self) -> float:
        """Seconds since the start."""
        return self._clock() - self.begun

    def totals(self) -> tuple[int, int]:
        """Return what was done in all, and its bytes; of stages named ``thing: step`` a thing counts once."""
        done: dict[str, int] = {}
        size: dict[str, int] = {}
        with self._lock:
            for name, stage in self._stages.items():
                thing = name.partition(": ")[0]
                done[thing] = max(done.get(thing, 0), stage.done)
                size[thing] = max(size.get(thing, 0), stage.size)
        return sum(done.values()), sum(size.values())

    def summary(self) -> str:
        """Say what was done in all, and in what time."""
        done, size = self.totals()
        counted = f", {done:,} {self.unit}" if self.unit else ""
        counted += f", {size_text(size)}" if size else ""
        return f"{seconds_text(self.seconds)}{counted}"


@contextmanager
def progress(title: str, unit: str = "") -> Iterator[Report]:
    """Show progress while the block runs.

    Parameters
    ----------
    title
        What is being done.
    unit
        What is counted, such as "rows": then the speed and the time left are shown too.

    Yields
    ------
    Report
        ``report(stage, done, total, size)``.
    """
    if _in_notebook():
        yield from _notebook(title, Meter(unit))
        return
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        yield from _terminal(title, Meter(unit), console)
    else:
        with log_progress(title, unit) as report:
            yield report


@contextmanager
def log_progress(title: str, unit: str = "", *, clock: Callable[[], float] = time.monotonic) -> Iterator[Report]:
    """Write progress to the logger ``b2brecs``, at most a line every ten seconds, and one at the end."""
    meter = Meter(unit, clock)
    last = meter.begun
    lock = threading.Lock()

    def report(stage: str, done: int, total: int | None, size: int = 0) -> None:
        nonlocal last
        reading = meter.take(stage, done, total, size)
        with lock:
            now = clock()
            if now - last < _LOG_EVERY_S:
                return
            last = now
        _log.info("%s: %s", title, reading)

    try:
        yield report
    except BaseException as error:
        _log.info("%s: stopped by %s after %s", title, type(error).__name__, meter.summary())
        raise
    _log.info("%s: done in %s", title, meter.summary())


def _terminal(title: str, meter: Meter, console: Any) -> Iterator[Report]:
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns: tuple[Any, ...] = (
        SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(bar_width=20),
        TextColumn("{task.fields[count]}", markup=False), TextColumn("{task.fields[speed]}", markup=False),
        TimeElapsedColumn(), TimeRemainingColumn(compact=True),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bars:
        tasks: dict[str, Any] = {}
        lock = threading.Lock()

        def report(stage: str, done: int, total: int | None, size: int = 0) -> None:
            reading = meter.take(stage, done, total, size)
            with lock:
                if stage not in tasks:
                    tasks[stage] = bars.add_task(f"{title}: {stage}", total=total, count="", speed="")
            bars.update(tasks[stage], completed=done, total=total, count=reading.count(), speed=reading.speed())

        yield report


def _notebook(title: str, meter: Meter) -> Iterator[Report]:
    """Update one plain HTML output; unlike a widget it is still there when the notebook is opened again."""
    from IPython import display as page

    html: Any = page.HTML  # IPython declares no types
    display: Any = page.display
    last = meter.begun
    lock = threading.Lock()

    def show(text: str, share: float | None = None) -> Any:
        bar = "" if share is None else f"<progress value='{share:.3f}' max='1'></progress> "
        return html(f"<span>{bar}{escape(title)}: {escape(text)}</span>")

    handle = display(show("starting"), display_id=True)

    def report(stage: str, done: int, total: int | None, size: int = 0) -> None:
        nonlocal last
        reading = meter.take(stage, done, total, size)
        with lock:
            if meter.seconds + meter.begun - last < _PAGE_EVERY_S:
                return
            last = meter.seconds + meter.begun
        handle.update(show(f"{reading}, {seconds_text(meter.seconds)}", reading.share))

    try:
        yield report
    except BaseException:
        handle.update(show(f"stopped after {meter.summary()}"))
        raise
    handle.update(show(f"done in {meter.summary()}"))


def _in_notebook() -> bool:
    try:
        from IPython.core.getipython import get_ipython
    except ImportError:
        return False
    shell = get_ipython()
    return shell is not None and shell.__class__.__name__ == "ZMQInteractiveShell"
