"""The warehouse in the cloud: a dataset of BigQuery."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from b2brecs.backends.changes import check_types, gone, keys_of, listed, reshapes
from b2brecs.backends.gcp import bigquery_commit as commits
from b2brecs.backends.gcp import bigquery_layout as layouts
from b2brecs.backends.gcp.bigquery_dataset import READ, WRITE, BigQueryDataset, patiently
from b2brecs.backends.gcp.bigquery_sql import DIALECT, count_rows, discarding, query_text, sql
from b2brecs.backends.gcp.bigquery_stage import STAGE, load, spool, staged_name, sweep, write_parquet
from b2brecs.backends.gcp.bigquery_types import check_names, described, read_column, write_column
from b2brecs.backends.protocols import PRIVATE, Change, Cost, LoadState, Staged
from b2brecs.errors import NotFound, WarehouseError
from b2brecs.sql.arrow import arrow_schema
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    from google.cloud import bigquery, bigquery_storage
    from sqlglot import exp

GIB = 2**30
TIB = 2**40
# On-demand price of the US multi-region, looked up 2026-11-24. The first TiB of a month is free.
DOLLARS_PER_TIB = 6.25


class BigQueryWarehouse(BigQueryDataset):
    """A dataset of BigQuery as the home of loaded tables.

    No client is made, and nothing is asked, before the first call.

    Parameters
    ----------
    project
        The project that is billed and that holds the dataset.
    location
        Where the dataset lies: ``EU``, ``europe-west1``…
    dataset
        Its name; it is created when missing.
    max_bytes_billed
        Queries that would read more bytes are refused by BigQuery.
    client
        A client to use instead of one with the default credentials. Results then come by REST, unless
        ``storage_client`` is given too.
    storage_client
        A client of the Storage Read API, which brings large results faster.

    Examples
    --------
    >>> BigQueryWarehouse("acme", "EU", "b2brecs").dialect
    'bigquery'
    """

    def __init__(
        self,
        project: str,
        location: str,
        dataset: str,
        *,
        max_bytes_billed: int = 100 * GIB,
        client: bigquery.Client | None = None,
        storage_client: bigquery_storage.BigQueryReadClient | None = None,
    ) -> None:
        super().__init__(
            project, location, dataset,
            max_bytes_billed=max_bytes_billed, client=client, storage_client=storage_client,
        )  # fmt: skip
        # Columns of what was staged here, by the table's name.
        self._staged: dict[str, TableSchema] = {}
        self._swept = False

    def __repr__(self) -> str:
        return f"<BigQueryWarehouse {self.project}.{self.dataset} in {self.location}>"

    @property
    def dialect(self) -> str:
        """Name of the SQL it speaks, as sqlglot has it."""
        return DIALECT

    @property
    def bounds(self) -> Mapping[str, tuple[Any, Any]]:
        """Least and greatest DATE, DATETIME and TIMESTAMP: the years 1 to 9999. NUMERIC and BIGNUMERIC hold all."""
        moments = (dt.datetime.min, dt.datetime.max)  # noqa: DTZ901
        return {"DATE": (dt.date.min, dt.date.max), "DATETIME": moments, "TIMESTAMP": moments}

    def tables(self) -> list[str]:
        """Names of the tables and views, sorted, without the library's own."""
        with self._explained(READ):
            found = [item.table_id for item in self._open().list_tables(self._path)]
        return sorted(name for name in found if not name.startswith(PRIVATE))

    def schema(self, table: str) -> TableSchema:
        """Columns and rows of a table.

        Raises
        ------
        NotFound
            There is no such table.
        """
        found = self._find(table)
        if found is None:
            raise NotFound("table", table, self.tables(), where=f"dataset {self.dataset!r}")
        return found

    def query(self, tree: exp.Expr) -> pa.RecordBatchReader:
        """Run a query given as a tree and stream its rows.

        Arrays come back empty where NULL was stored, since BigQuery keeps no NULL arrays. Staged rows are read with
        the columns and types that they were announced with, if this object staged them; what another process has
        staged holds JSON and BIGNUMERIC as text, and a column with the rows' number.

        Raises
        ------
        WarehouseError
            BigQuery refused it.
        """
        text = query_text(tree, self._staged)
        with self._explained(READ):
            job = self._open().query(text, job_config=self._config())
            rows = job.result()
        schema = arrow_schema(read_column(field) for field in rows.schema)
        return pa.RecordBatchReader.from_batches(schema, self._batches(job, rows, schema))

    def dry_run(self, tree: exp.Expr) -> Cost:
        """Check a query and say what it would read, without running it.

        Raises
        ------
        WarehouseError
            The query is wrong.
        """
        config = self._config(dry_run=True, use_query_cache=False)
        text = query_text(tree, self._staged)
        with self._explained(READ):
            job = self._open().query(text, job_config=config)
        size = int(job.total_bytes_processed or 0)
        return Cost(size, size / TIB * DOLLARS_PER_TIB)

    def stage(self, schema: TableSchema, run: str, batches: Iterable[pa.RecordBatch]) -> Staged:
        """Write rows where no reader sees them, by one load job; they expire after a day.

        The first time, what a process left that died before it could set the day is removed.

        Raises
        ------
        WarehouseError
            BigQuery takes a name or a value not; or this machine's disk is full, by which the rows go.
        """
        check_names(schema)
        with spool() as file:
            rows = write_parquet(file, schema, batches)
            name = staged_name(run, schema.name, file)
            with self._explained(WRITE):
                client = self._open()
                if not self._swept:
                    sweep(client, self._path)
                    self._swept = True
                load(client, self._reference(name), file, schema, rows, emulated=self._emulated)
        self._staged[name] = schema
        return Staged(name, schema, rows)

    def differs(self, change: Change) -> bool:
        """Say whether a commit of the change would leave the target other than it is; see ``Warehouse.differs``.

        Where the columns differ, or a swap's number of rows, nothing is billed. Else what the change adds and what
        it removes are read once, about the bytes that the commit would be billed for; they are compared by
        number and a sum of hashes, so that a real difference stays unseen once in 2**64 times. JSON is compared
        as BigQuery stores it: without regard to spaces and the order of names.
        """
        keys_of(change)
        found = self._get(change.staged.schema.name)
        if self._get(change.staged.name) is None:
            raise gone(change.staged.schema.name)
        if found is None:
            return True
        target = described(found)
        if reshapes(change, target, null_arrays=False):
            return True
        if change.mode == "append":
            return change.staged.rows > 0
        days = found.time_partitioning
        text, parameters = commits.comparison(change, target, days.field if days else None)
        with self._explained(READ):
            return bool(self._run(text, parameters)[0]["differs"])

    def discard(self, staged: Staged, where: exp.Expr) -> Staged:
        """Remove the staged rows for which a condition on their columns is true; return what is left.

        BIGNUMERIC columns are compared as numbers. JSON is text in the condition, without its commit's normal form.

        Raises
        ------
        WarehouseError
            BigQuery refused the condition.
        """
        if not staged.name.startswith(STAGE) or self._get(staged.name) is None:
            raise gone(staged.schema.name)
        with self._explained(WRITE):
            (left,) = self._run(discarding(staged, where))
        return replace(staged, rows=int(left["total"]))

    def commit(
        self, changes: Change | Sequence[Change], *, state: LoadState | None = None, expect: str | None = None
    ) -> int:
        """Make staged rows visible, together with ``state``, in one transaction; returns the first target's rows.

        A swap that takes columns away, or changes a type, cannot be part of a transaction: the table is then
        replaced in one statement and the rest follows in the next. A crash between the two leaves the old
        state, and the same load again leaves the same table.

        Raises
        ------
        LoadError
            Another run has committed since ``expect``, or the rows do not fit the table.
        WarehouseError
            BigQuery refused the rows; nothing has changed.
        """
        made = listed(changes)
        names = [change.staged.schema.name for change in made]
        if state is not None:
            standing = self.state(state.key)
            found = standing.run if standing else None
            if found == state.run:
                for change in made:
                    self.drop(change.staged.name)
                return self._count(names[0]) if names else 0
            if found != expect:
                raise commits.conflict(state.key, found, expect)
        elif not made:
            return 0
        targets = [self._checked(change) for change in made]
        created: list[str] = []
        steps: list[commits.Step] = []
        with self._explained(WRITE):
            try:
                for change, standing_table in zip(made, targets, strict=True):
                    target, new = (standing_table, False) if standing_table else self._create(change)
                    if new:
                        created.append(target.table_id)
                    steps.append(self._step(change, target, len(steps)))
                answer = self._commit(steps, names[0] if names else None, state, expect)
            except Exception:
                for name in created:
                    self._run(commits.drop_if_empty(name))
                raise
        if state is not None and not answer["done"] and answer["standing"] != state.run:
            raise commits.conflict(state.key, answer["standing"], expect)
        for change in made:
            self.drop(change.staged.name)
        return int(answer["total"])

    def state(self, key: str) -> LoadState | None:
        """Return how far a job has loaded a table."""
        found = self._get(commits.state_table(key))
        if found is None:
            return None
        with self._explained(READ):
            rows = [dict(row) for row in self._open().list_rows(found)]
        if not rows or rows[0]["run"] is None:
            return None
        # Tables of the first version have no facts.
        facts = rows[0].get("facts") or "{}"
        return LoadState(key, rows[0]["watermark"], rows[0]["run"], int(rows[0]["rows"]), facts)

    def drop(self, table: str) -> None:
        """Remove a table, or staged rows, if there."""
        if table.startswith(PRIVATE) and not table.startswith(STAGE):
            raise WarehouseError(f"{table!r} is the library's own table and is not dropped.")
        with self._explained(WRITE):
            self._open().delete_table(self._reference(table), not_found_ok=True)
        self._staged.pop(table, None)

    # Steps of a commit

    def _count(self, table: str) -> int:
        if self._get(table) is None:
            return 0
        with self._explained(READ):
            return int(self._run(sql(count_rows(table)))[0]["total"])

    def _checked(self, change: Change) -> bigquery.Table | None:
        """Return a change's target, if there; refuse what cannot be done, before anything is."""
        keys_of(change)
        layouts.partition_of(change)
        rows = change.staged.schema
        if self._get(change.staged.name) is None:
            raise gone(rows.name)
        found = self._get(rows.name)
        if found is not None and change.mode != "swap":
            check_types(rows, described(found))
        elif found is not None and not commits.fits(rows, described(found)):
            layouts.layout(found, rows)
        return found

    def _create(self, change: Change) -> tuple[bigquery.Table, bool]:
        """Create an empty target and return it; another run may have been first."""
        from google.api_core import exceptions
        from google.cloud import bigquery

        rows = change.staged.schema
        empty = bigquery.Table(self._reference(rows.name), schema=[write_column(item) for item in rows])
        by = layouts.partition_of(change)
        if by is not None:
            (found,) = self._run(layouts.spread(change, by))
            layouts.arrange(empty, change, by, found["days"], found["months"])
        try:
            return self._open().create_table(empty), True
        except exceptions.Conflict:
            return self._open().get_table(empty), False

    def _step(self, change: Change, found: bigquery.Table, number: int) -> commits.Step:
        """Bring a target's columns into line; return what is left to do in the script."""
        rows, target = change.staged.schema, described(found)
        if change.mode == "swap" and not commits.fits(rows, target):
            return commits.replacement(change.staged, layouts.layout(found, rows))
        check_types(rows, target)
        for statement in (*commits.additions(rows, target), *commits.relaxations(rows, target)):
            self._run(statement)
        days = found.time_partitioning
        return commits.step(change, target, number, days.field if days else None)

    def _commit(
        self, steps: Sequence[commits.Step], target: str | None, state: LoadState | None, expect: str | None
    ) -> dict[str, Any]:
        parameters = [parameter for step in steps for parameter in step.parameters]
        name = None
        if state is not None:
            name = commits.state_table(state.key)
            if expect is None:
                self._run(commits.create_state(name), [("key", "STRING", state.key)])
            found = self._get(name)
            if found is not None and "facts" not in {field.name for field in found.schema}:
                self._run(commits.widen_state(name))
            parameters += [
                ("run", "STRING", state.run),
                ("expect", "STRING", expect),
                ("watermark", "STRING", state.watermark),
                ("rows", "INT64", state.rows),
                ("facts", "STRING", state.facts),
            ]
        script = commits.script(steps, target, name)
        return patiently(lambda: self._run(script, parameters))[0]
