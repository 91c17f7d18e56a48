"""Run an ``EtlJob``: its tables one after the other, each in one commit. Faults that pass are tried again."""

from __future__ import annotations

import dataclasses
import datetime as dt
import logging
import uuid
from collections.abc import Callable
from typing import Any

from tenacity import Retrying, before_sleep_log, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from b2brecs.backends.protocols import Warehouse
from b2brecs.configs.connection import Connection
from b2brecs.configs.etl import EtlJob, TableLoad
from b2brecs.errors import B2BRecsError, Cancelled
from b2brecs.etl.around import OnProgress, Surroundings
from b2brecs.etl.load import TableRun
from b2brecs.etl.results import EtlResult, TableResult
from b2brecs.sources import Source

_log = logging.getLogger(__name__)
_ATTEMPTS = 4


def now() -> dt.datetime:
    """Return the time, in UTC."""
    return dt.datetime.now(dt.UTC)


def run_job(
    job: EtlJob,
    source: Source[Any],
    warehouse: Warehouse,
    *,
    run: str | None = None,
    files: str | None = None,
    connection: Connection | None = None,
    home: str | None = None,
    on_progress: OnProgress | None = None,
    stop: Callable[[], bool] | None = None,
) -> EtlResult:
    """Load every table of a job. A table that fails is reported; it leaves what stood before, and the rest go on.

    Parameters
    ----------
    run
        The run's name, default a new one.
    files
        Folder or URL for what lies between workers and this process.
    connection
        What ``source`` was opened from; without it nothing can be read by other processes.
    home
        Address of the workspace, by which workers elsewhere read the secrets that the connection refers to.
    on_progress
        Called with stage, rows, rows expected (None if not known) and bytes.
    stop
        Asked between batches; when it says yes, the table being loaded is left as it was, and the rest too.
    """
    run = run or uuid.uuid4().hex[:12]
    around = Surroundings(job, source, warehouse, run, connection, files, home, on_progress, stop)
    started = now()
    results: list[TableResult] = []
    for load in job.tables:
        if any(result.status == "cancelled" for result in results):
            results.append(TableResult(load.target, "cancelled", load.source, load.strategy))
            continue
        results.append(_load(load, around))
    return EtlResult(job.name, run, tuple(results), started, now())


def _load(load: TableLoad, around: Surroundings) -> TableResult:
    attempts = Retrying(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential_jitter(initial=0.5, max=30),
        retry=retry_if_exception(lambda error: bool(getattr(error, "transient", False))),
        before_sleep=before_sleep_log(_log, logging.WARNING),
        reraise=True,
    )
    tried = 0
    current = TableRun(load, around)

    def attempt() -> TableResult:
        nonlocal current, tried
        tried += 1
        current = TableRun(load, around)
        return current()

    try:
        result = attempts(attempt)
    except Cancelled as error:
        return dataclasses.replace(current.result, status="cancelled", error=str(error))
    except B2BRecsError as error:
        _log.error("%s: %s", load.target, error)
        return dataclasses.replace(
            current.result, status="failed", error=str(error), error_class=type(error).__name__,
            notes=(*current.result.notes, *([f"tried {tried} times"] if tried > 1 else [])),
        )  # fmt: skip
    _log.info("%s: %s, %d rows read, %d loaded", load.target, result.status, result.rows_read, result.rows_loaded)
    return result


__all__ = ["EtlResult", "TableResult", "now", "run_job"]
