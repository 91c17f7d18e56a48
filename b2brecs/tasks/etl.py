"""Run a job so that its record says how it came out; then the jobs that follow it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from b2brecs.backends.protocols import Home, RunStatus
from b2brecs.configs.connection import Connection
from b2brecs.configs.etl import EtlJob
from b2brecs.configs.nouns import from_document
from b2brecs.display.progress import Report
from b2brecs.errors import B2BRecsError, Cancelled, RunFailed
from b2brecs.etl.results import EtlResult, TableResult
from b2brecs.etl.run import run_job
from b2brecs.sources import Source, open_source
from b2brecs.tasks.interrupt import interrupts
from b2brecs.tasks.record import Recording

Stop = Callable[[], bool]


def load_job(
    home: Home,
    job: EtlJob,
    recording: Recording,
    connection: Callable[[], Connection],
    *,
    on_progress: Report | None = None,
    stop: Stop | None = None,
    stream: Callable[[Source[Any], Report, Stop], EtlResult] | None = None,
) -> EtlResult:
    """Load a job's tables and end its recording accordingly.

    Parameters
    ----------
    recording
        A run that has begun.
    connection
        Finds the job's connection.
    on_progress
        Told beside the recording.
    stop
        Asked between batches.
    stream
        What is done with the opened source instead of a load. Ctrl-C ends it at the next batch, as its normal end.

    Raises
    ------
    RunFailed
        Tables failed; the rest were loaded.
    Cancelled, KeyboardInterrupt
        It was stopped. The message says what stood by then; nothing is half written.
    B2BRecsError
        The source could not be opened.
    """

    def report(stage: str, done: int, total: int | None, size: int = 0) -> None:
        recording.report(stage, done, total, size)
        if on_progress is not None:
            on_progress(stage, done, total, size)

    def stopped() -> bool:
        return interrupt.asked or (stop is not None and stop())

    stage = "init"
    with interrupts(gently=stream is not None) as interrupt:
        try:
            found = connection()
            source = open_source(found, recording.log.reading(home.secrets.get))
            try:
                stage = ""
                recording.write("running", connection=job.connection)
                result = stream(source, report, stopped) if stream is not None else run_job(
                    job, source, home.warehouse, run=recording.id, files=home.files, connection=found, home=home.url,
                    on_progress=report, stop=stopped,
                )  # fmt: skip
            finally:
                source.close()
        except BaseException as error:
            if interrupt.asked or isinstance(error, Cancelled | KeyboardInterrupt):
                tables = _tables(home, job, recording.id) if stream is None else []
                kind = Cancelled if isinstance(error, Cancelled) and not interrupt.asked else KeyboardInterrupt
                raise _cancelled(job, recording, EtlResult(job.name, recording.id, tuple(tables)), kind) from None
            facts = {"error_class": type(error).__name__, "error_stage": stage}
            recording.end("failed", str(error) or type(error).__name__, facts)
            raise
    kind = KeyboardInterrupt if interrupt.asked and stream is None else Cancelled
    return _ended(job, recording, result, kind)


def _ended(job: EtlJob, recording: Recording, result: EtlResult, stopped: type[BaseException]) -> EtlResult:
    for table in result.tables:
        line = f"{table.target}: {table.status}, {table.rows_read:,} rows read, {table.rows_loaded:,} loaded"
        recording.log.line(f"{line}, {table.error_class} {table.error}" if table.error else line)
    status = status_of(result)
    if stopped is KeyboardInterrupt and status == "completed":
        recording.end(status, "", result.to_facts())
        raise KeyboardInterrupt(f"job {job.name!r} was loaded before it could be stopped.")
    if status == "cancelled" or stopped is KeyboardInterrupt:
        raise _cancelled(job, recording, result, stopped)
    failed = [table for table in result.tables if table.status == "failed"]
    errors = "; ".join(f"{table.target}: {table.error}" for table in failed)
    facts = result.to_facts()
    if failed:
        facts |= {"error_class": failed[0].error_class, "error_stage": failed[0].error_stage}
    recording.end(status, errors, facts)
    if failed:
        raise RunFailed(f"job {job.name!r}", errors)
    return result


def _cancelled(job: EtlJob, recording: Recording, result: EtlResult, kind: type[BaseException]) -> BaseException:
    """End a run that was stopped, and return what is raised."""
    said = []
    for table in result.tables:
        if table.status == "completed":
            said.append(f"{table.target}: loaded, {table.rows_loaded:,} rows")
        else:
            said.append(f"{table.target}: as it was before")
    text = f"job {job.name!r} was stopped. {'; '.join(said) or 'What had been committed stands'}."
    facts = {key: value for key, value in result.to_facts().items() if value}
    recording.end("cancelled", text, facts | {"error_class": kind.__name__})
    return kind(text)


def status_of(result: EtlResult) -> RunStatus:
    """Return the status of a run from those of its tables."""
    statuses = {table.status for table in result.tables}
    if "cancelled" in statuses:
        return "cancelled"
    if "failed" not in statuses:
        return "completed"
    return "partial" if statuses & {"completed", "unchanged"} else "failed"


def followers(home: Home, name: str) -> list[EtlJob]:
    """Return the saved jobs that run after a job, by name."""
    found: list[EtlJob] = []
    for document in home.registry.list(EtlJob.KIND):
        if name in (document.data.get("follows") or ()):
            job = from_document(document.kind, document.data)
            assert isinstance(job, EtlJob)
            found.append(job)
    return found


def _tables(home: Home, job: EtlJob, run: str) -> list[TableResult]:
    """Ask the warehouse what became of each table of a run that was interrupted."""
    found = []
    for load in job.tables:
        try:
            state = home.warehouse.state(f"{job.name}/{load.target}")
        except B2BRecsError:
            state = None
        if state is not None and state.run == run:
            found.append(TableResult(load.target, "completed", load.source, load.strategy, rows_loaded=state.rows))
        else:
            found.append(TableResult(load.target, "cancelled", load.source, load.strategy))
    return found
