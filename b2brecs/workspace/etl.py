"""Verbs on jobs: run them, once or as a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from b2brecs.configs.connection import Connection
from b2brecs.configs.etl import EtlJob
from b2brecs.display import progress
from b2brecs.display.progress import Report
from b2brecs.errors import B2BRecsError, ConfigError, RunFailed
from b2brecs.etl.run import EtlResult
from b2brecs.sources import Source
from b2brecs.tasks.etl import followers, load_job
from b2brecs.tasks.record import Recording
from b2brecs.workspace.configs import as_config
from b2brecs.workspace.schedules import ScheduleVerbs


class EtlVerbs(ScheduleVerbs):
    """Verbs on jobs."""

    def run(self, job: EtlJob | str, *, follow: bool = True) -> EtlResult:
        """Run a job: load each of its tables, then the jobs that follow it. What fails leaves the table as it stood.

        Interrupting it (Ctrl-C, the notebook's stop button) leaves nothing half written.

        Parameters
        ----------
        follow
            Whether saved jobs that run after this one are run too, here, one after the other.

        Raises
        ------
        RunFailed
            A table failed, of this job or of one that follows; the rest were loaded. See ``ws.runs()``.
        KeyboardInterrupt, Cancelled
            It was stopped; the message says what stood by then.
        """
        job = as_config(EtlJob, job, self).build()
        result = self._run(job, "hand")
        failures = self._follow(job.name, (job.name,)) if follow else []
        if failures:
            raise RunFailed(f"after job {job.name!r}, which was loaded", "; ".join(failures))
        return result

    def stream(self, job: EtlJob | str, *, seconds: float | None = None, batches: int | None = None) -> EtlResult:
        """Load what arrives at a job's one table, batch by batch, until interrupted or a limit is met.

        Ctrl-C, or the notebook's stop button, ends it when the batch at hand is loaded.

        Parameters
        ----------
        seconds
            End after so long. Default: never.
        batches
            End after so many batches.

        Raises
        ------
        ConfigError
            The job has more than one table, or its source is not one of messages.
        RunFailed
            It failed. What was not loaded comes again.
        """
        from b2brecs.etl import streaming

        job = as_config(EtlJob, job, self).build()
        if len(job.tables) != 1:
            raise ConfigError.single(
                f"EtlJob {job.name!r}", "tables", len(job.tables), "a stream is loaded into one table.",
                "Make a job of each table.",
            )  # fmt: skip
        recording = Recording(self.home, EtlJob.KIND, job.name, trigger="stream by hand")
        recording.write("running")

        def work(source: Source[Any], report: Report, stop: Callable[[], bool]) -> EtlResult:
            if not hasattr(source, "pull"):
                raise ConfigError.single(
                    f"EtlJob {job.name!r}", "connection", job.connection, "this source does not send messages.",
                    "Load it with ws.run(…), or on a schedule.",
                )  # fmt: skip
            return streaming.stream(
                job.name, job.tables[0], cast("streaming.MessageSource", source), self.home.warehouse,
                batches=batches, seconds=seconds, stop=stop, on_progress=report,
            )  # fmt: skip

        with progress(f"Streaming {job.name}", "rows") as show:
            return load_job(self.home, job, recording, self._connection_of(job), on_progress=show, stream=work)

    def _run(self, job: EtlJob, trigger: str) -> EtlResult:
        recording = Recording(self.home, EtlJob.KIND, job.name, trigger=trigger)
        recording.write("running")
        with progress(f"Loading {job.name}", "rows") as show:
            return load_job(self.home, job, recording, self._connection_of(job), on_progress=show)

    def _follow(self, name: str, before: tuple[str, ...]) -> list[str]:
        failures = []
        for follower in followers(self.home, name):
            if follower.name in before:
                continue
            try:
                self._run(follower, f"after {name}")
            except B2BRecsError as error:
                failures.append(f"{follower.name}: {error}")
            else:
                failures += self._follow(follower.name, (*before, follower.name))
        return failures

    def _connection_of(self, job: EtlJob) -> Callable[[], Connection]:
        return lambda: self.saved(Connection, job.connection)
