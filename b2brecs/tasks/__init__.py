"""The entry points that a runner may start, by name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from b2brecs.backends.protocols import Home, TaskSpec
from b2brecs.configs.connection import Connection
from b2brecs.configs.etl import EtlJob
from b2brecs.configs.nouns import from_document
from b2brecs.display.progress import log_progress
from b2brecs.errors import NotFound
from b2brecs.tasks.etl import followers, load_job
from b2brecs.tasks.overlap import enter
from b2brecs.tasks.record import Recording

_log = logging.getLogger(__name__)


class Control(Protocol):
    """What a running task may use: lines for its log, and whether it was asked to stop."""

    @property
    def cancelled(self) -> bool:
        """Whether somebody asked the task to stop."""
        ...

    def log(self, line: str, /) -> None:
        """Write a line to the task's log."""
        ...


def etl(home: Home, config: dict[str, Any], control: Control) -> None:
    """Run a saved job, ``{"name": ...}``, unless it runs already; then start those that follow it.

    ``after`` lists the jobs that led to this one, the last one last.

    Raises
    ------
    RunFailed
        A table failed.
    Cancelled
        The task was asked to stop.
    """
    name, before = str(config["name"]), [str(item) for item in config.get("after", ())]
    job: EtlJob = _saved(home, EtlJob, name)
    recording = Recording(home, EtlJob.KIND, name, trigger=f"after {before[-1]}" if before else "schedule")
    queue = job.timetable is not None and job.timetable.overlap == "queue"
    ahead = enter(home.registry, recording, queue=queue, stop=lambda: control.cancelled)
    if ahead is not None:
        _say(control, f"{name}: skipped, as run {ahead.id} goes on since {ahead.started_at:%Y-%m-%d %H:%M:%S} UTC")
        return
    with log_progress(f"Loading {name}", "rows") as report:
        result = load_job(
            home, job, recording, lambda: _saved(home, Connection, job.connection), on_progress=report,
            stop=lambda: control.cancelled,
        )  # fmt: skip
    for table in result.tables:
        control.log(f"{table.target}: {table.status}, {table.rows_read:,} rows read")
    for follower in followers(home, name):
        if follower.name in (*before, name):
            _say(control, f"{follower.name}: not started, as jobs follow each other in a circle")
            continue
        home.runner.submit(TaskSpec("etl", {"name": follower.name, "after": [*before, name]}, home.url))
        _say(control, f"{follower.name}: started after {name}")


def _say(control: Control, line: str) -> None:
    control.log(line)
    _log.info("%s", line)


TASKS: dict[str, Callable[[Home, dict[str, Any], Control], None]] = {"etl": etl}


def run(home: Home, spec: TaskSpec, control: Control) -> None:
    """Run a task.

    Raises
    ------
    NotFound
        There is no such task.
    """
    if spec.task not in TASKS:
        raise NotFound("task", spec.task, TASKS)
    TASKS[spec.task](home, dict(spec.config), control)


def _saved(home: Home, kind: type[Any], name: str) -> Any:
    return from_document(kind.KIND, home.registry.get(kind.KIND, name).data)
