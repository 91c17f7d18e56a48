"""Verbs on connections and jobs: test, look, run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from b2brecs.backends.protocols import RunRecord
from b2brecs.configs.connection import Connection
from b2brecs.configs.etl import EtlJob
from b2brecs.display import Table, progress
from b2brecs.errors import RunFailed
from b2brecs.etl.run import EtlResult, now, run_job
from b2brecs.sources import Source, open_source
from b2brecs.types import TableSchema
from b2brecs.workspace.configs import ConfigVerbs, as_config

if TYPE_CHECKING:
    import pandas as pd


class EtlVerbs(ConfigVerbs):
    """Verbs on connections and jobs."""

    def test(self, connection: Connection | str) -> str:
        """Try a connection, for at most 10 s, and say what was found.

        Raises
        ------
        SourceError
            It cannot be used: why, and what to do.
        """
        return self.open(connection).test()

    def open(self, connection: Connection | str) -> Source[Any]:
        """Open a connection's source."""
        return open_source(as_config(Connection, connection, self), self.home.secrets.get)

    def source_tables(self, connection: Connection | str) -> Table:
        """List the tables at a source."""
        found = self.open(connection).tables()
        return Table("Tables at the source", ["table", "rows (estimate)"], [[t.name, t.rows] for t in found])

    def source_schema(self, connection: Connection | str, table: str) -> TableSchema:
        """Return a source table's columns, as the warehouse's types."""
        return self.open(connection).schema(table)

    def source_preview(self, connection: Connection | str, table: str, *, limit: int = 10) -> pd.DataFrame:
        """Return the first rows of a table at a source."""
        source = self.open(connection)
        reader = source.read(source.schema(table))
        batch = next(iter(reader), None)
        reader.close()
        rows = batch.slice(0, limit) if batch is not None else reader.schema.empty_table()
        return cast("pd.DataFrame", rows.to_pandas())

    def run(self, job: EtlJob | str) -> EtlResult:
        """Run a job: load each of its tables. What fails leaves the table that stood before.

        Raises
        ------
        RunFailed
            A table failed; the rest were loaded. The run is in ``ws.runs()``.
        """
        job = as_config(EtlJob, job, self).build()
        source = self.open(job.connection)
        started = now()
        with progress(f"Loading {job.name}") as report:
            result = run_job(job, source, self.home.warehouse, on_progress=report)
        source.close()
        errors = [f"{table.target}: {table.error}" for table in result.tables if table.status == "failed"]
        self.home.registry.log_run(
            RunRecord(
                result.run, EtlJob.KIND, job.name, "failed" if errors else "completed", started, now(),
                "\n".join(errors), {"rows": result.rows, "tables": [t.target for t in result.tables]},
            )
        )  # fmt: skip
        if errors:
            raise RunFailed(f"job {job.name!r}", "; ".join(errors))
        return result

    def runs(self, *, limit: int = 20) -> Table:
        """List the latest runs."""
        found = self.home.registry.runs(limit=limit)
        return Table(
            "Runs", ["run", "kind", "name", "status", "started", "error"],
            [[r.id, r.kind, r.name, r.status, f"{r.started_at:%Y-%m-%d %H:%M:%S}", r.error] for r in found],
        )  # fmt: skip
