"""``b2brecs scheduler``: keeps the clock of a local home, until it is told to end."""

from __future__ import annotations

import logging
import queue
import signal
import time
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Protocol, cast

import typer

from b2brecs.cli.group import CANCELLED, FAILED, opened
from b2brecs.errors import B2BRecsError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from b2brecs.backends.protocols import RunStatus

_log = logging.getLogger("b2brecs.cli")
_LOOK_S = 0.2
# How long cancelled work may take to put things back.
_TAKE_BACK_S = 10.0


class Clock(Protocol):
    """Starts what is due."""

    def tick(self) -> dict[str, str]: ...


class Tasks(Protocol):
    """What has been started in this process."""

    def statuses(self) -> dict[str, RunStatus]: ...
    def logs(self, task_id: str, /) -> Iterator[str]: ...
    def cancel(self, task_id: str, /) -> None: ...


def scheduler(
    context: typer.Context,
    *,
    once: Annotated[bool, typer.Option("--once", help="Do what is due, then exit: for cron or Kubernetes.")] = False,
    every: Annotated[float, typer.Option(min=0.1, help="Seconds between looks at the clock.")] = 15.0,
    grace: Annotated[float, typer.Option(min=0, help="Seconds that running jobs are given to end by themselves.")] = 20,
) -> None:
    """Start jobs when they are due, until SIGTERM or Ctrl-C.

    Running jobs are then given --grace seconds and cancelled after that; a second signal cancels them at once.
    Several schedulers may share a home: each due time is met once.
    """
    with opened(context) as ws:
        if not hasattr(ws.home.scheduler, "tick") or not hasattr(ws.home.runner, "statuses"):
            raise ConfigError.single(
                "scheduler", "home", ws.home.url, "its clock is kept elsewhere.", "See `b2brecs jobs schedules`."
            )
        signals: queue.SimpleQueue[int] = queue.SimpleQueue()

        def heard(number: int, _frame: FrameType | None) -> None:
            signals.put(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, heard)
        _log.info("keeping the clock of %s", ws.home.url)
        keeper = Keeper(cast("Clock", ws.home.scheduler), cast("Tasks", ws.home.runner), signals)
        code = keeper.once() if once else None
        if not once:
            keeper.run(every)
        code = keeper.end(grace) if code is None else code
    raise typer.Exit(code)


class Keeper:
    """Ticks, tells how tasks ended, and ends itself when a signal is heard."""

    def __init__(self, clock: Clock, tasks: Tasks, signals: queue.SimpleQueue[int]) -> None:
        self.clock, self.tasks, self.signals = clock, tasks, signals
        self.failed = False
        self._told: set[str] = set()

    def run(self, every: float) -> None:
        """Tick every so many seconds until a signal is heard."""
        due = time.monotonic()
        while True:
            if time.monotonic() >= due:
                self._tick()
                due = time.monotonic() + every
            self._tell()
            if self._heard(min(_LOOK_S, every) if self._running() else max(due - time.monotonic(), 0)):
                return

    def once(self) -> int | None:
        """Tick once and wait for what was started, and what follows it; None when a signal was heard."""
        self._tick()
        while self._running():
            if self._heard(_LOOK_S):
                return None
        self._tell()
        return FAILED if self.failed else 0

    def end(self, grace: float) -> int:
        """Wait for running tasks, then cancel them; return the exit code."""
        running = self._running()
        if running:
            _log.info("ending; %d running are given %g s", len(running), grace)
        self._wait(grace)
        cancelled = self._running()
        for task in cancelled:
            _log.warning("%s is cancelled", task)
            self.tasks.cancel(task)
        self._wait(_TAKE_BACK_S)
        for task in self._running():
            _log.warning("%s did not end; what it has not committed stays invisible", task)
        self._tell()
        _log.info("ended")
        return CANCELLED if cancelled else 0

    def _wait(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while self._running() and (left := until - time.monotonic()) > 0:
            if self._heard(min(_LOOK_S, left)):
                return

    def _heard(self, seconds: float) -> bool:
        try:
            number = self.signals.get(timeout=seconds)
        except queue.Empty:
            return False
        _log.info("%s", signal.Signals(number).name)
        return True

    def _tick(self) -> None:
        try:
            started = self.clock.tick()
        except B2BRecsError as error:
            self.failed = True
            _log.error("%s", error)
        except Exception:  # noqa: BLE001 - the next look at the clock may go well
            self.failed = True
            _log.exception("a timetable could not be started")
        else:
            for name in started:
                _log.info("%s is due", name)

    def _running(self) -> list[str]:
        return [task for task, status in self.tasks.statuses().items() if status in ("pending", "running")]

    def _tell(self) -> None:
        for task, status in self.tasks.statuses().items():
            if task in self._told or status in ("pending", "running"):
                continue
            self._told.add(task)
            last = next(reversed(list(self.tasks.logs(task))), "")
            self.failed = self.failed or status == "failed"
            _log.log(logging.ERROR if status == "failed" else logging.INFO, "%s: %s. %s", task, status, last)
        self._told &= set(self.tasks.statuses())
