"""The entry points that a runner may start, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from b2brecs.backends.protocols import Home, TaskSpec
from b2brecs.configs.connection import Connection
from b2brecs.configs.etl import EtlJob
from b2brecs.configs.nouns import from_document
from b2brecs.errors import NotFound, RunFailed
from b2brecs.etl.run import run_job
from b2brecs.sources import open_source


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
    """Run a saved job: ``{"name": ...}``.

    Raises
    ------
    RunFailed
        A table failed.
    """
    job = _saved(home, EtlJob, config["name"])
    source = open_source(_saved(home, Connection, job.connection), home.secrets.get)
    result = run_job(job, source, home.warehouse)
    for table in result.tables:
        control.log(f"{table.target}: {table.status}, {table.rows_read:,} rows read {table.error}".rstrip())
    if not result.ok:
        raise RunFailed(f"job {job.name!r}", "; ".join(t.error for t in result.tables if t.error))


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
