"""Run an ``EtlJob``: one Arrow stream from the source to a staging table, one commit with the watermark."""

from __future__ import annotations

import datetime as dt
import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from b2brecs.backends.protocols import LoadState, Warehouse
from b2brecs.configs.etl import EtlJob, TableLoad
from b2brecs.display import Table
from b2brecs.errors import B2BRecsError, LoadError, NotFound
from b2brecs.etl.cast import cast_batches
from b2brecs.etl.plan import LoadPlan, plan
from b2brecs.sources import Since, Source

OnProgress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class TableResult:
    """What happened to one table: rows read, rows it now holds, watermark before and after."""

    target: str
    status: Literal["completed", "failed", "unchanged"]
    rows_read: int = 0
    rows_total: int = 0
    seconds: float = 0.0
    watermark_before: str | None = None
    watermark_after: str | None = None
    error: str = ""


@dataclass(frozen=True)
class EtlResult:
    """What a run of a job did, table by table."""

    job: str
    run: str
    tables: tuple[TableResult, ...]

    @property
    def ok(self) -> bool:
        """Whether every table was loaded."""
        return all(table.status != "failed" for table in self.tables)

    @property
    def rows(self) -> int:
        """Rows read in all."""
        return sum(table.rows_read for table in self.tables)

    def _table(self) -> Table:
        rows = [
            [t.target, t.status, t.rows_read, t.rows_total, round(t.seconds, 2), _shown(t.watermark_after), t.error]
            for t in self.tables
        ]
        columns = ["table", "status", "rows read", "rows now", "seconds", "watermark", "error"]
        kept = [i for i, _ in enumerate(columns) if i < 5 or any(row[i] for row in rows)]
        return Table(
            f"Load {self.job}",
            [columns[i] for i in kept],
            [[row[i] for i in kept] for row in rows],
            subtitle=f"run {self.run}",
        )

    def __repr__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table().to_html()


def now() -> dt.datetime:
    """Return the time, in UTC."""
    return dt.datetime.now(dt.UTC)


def run_job(
    job: EtlJob,
    source: Source[Any],
    warehouse: Warehouse,
    *,
    run: str | None = None,
    on_progress: OnProgress | None = None,
) -> EtlResult:
    """Load every table of a job. A table that fails is reported; it leaves what stood before, and the rest go on."""
    run = run or uuid.uuid4().hex[:12]
    results = []
    for load in job.tables:
        started = time.perf_counter()
        try:
            result = load_table(load, job.name, source, warehouse, run, on_progress)
        except B2BRecsError as error:
            result = TableResult(load.target, "failed", error=str(error))
        results.append(TableResult(**{**result.__dict__, "seconds": time.perf_counter() - started}))
    return EtlResult(job.name, run, tuple(results))


def load_table(
    load: TableLoad,
    job: str,
    source: Source[Any],
    warehouse: Warehouse,
    run: str,
    on_progress: OnProgress | None = None,
) -> TableResult:
    """Load one table.

    Raises
    ------
    LoadError
        The source is empty and the policy is to fail; or a value does not fit; or another run committed meanwhile.
    """
    key = f"{job}/{load.target}"
    target = _existing(warehouse, load.target)
    before = warehouse.state(key)
    planned = plan(load, source.schema(load.source), target)
    # Without its table a watermark means nothing: start over.
    low = before.watermark if before and target is not None else None
    since = None
    if planned.load.watermark is not None:
        since = Since(planned.load.watermark, _step_back(low, load, planned))
    counter = _Counter(planned.watermark, load.target, on_progress)
    stream = counter.count(cast_batches(source.read(planned.read, since=since), planned.write))
    staged = warehouse.stage(planned.write, run, stream)
    high = counter.high if counter.high is not None else low
    if counter.rows == 0 and (load.strategy == "transactional" or load.on_empty != "replace"):
        warehouse.drop(staged.name)
        if load.strategy == "catalog" and load.on_empty == "fail":
            raise LoadError(
                f"table {load.source!r} is empty at the source, so {load.target!r} was left as it was. "
                f"Say on_empty='replace' to empty it, or on_empty='keep' to keep the old rows without failing."
            )
        return TableResult(load.target, "unchanged", 0, _rows(target), watermark_before=low, watermark_after=low)
    total = warehouse.commit(
        staged,
        mode=planned.mode,  # type: ignore[arg-type]
        keys=planned.keys,
        state=LoadState(key, high, run, counter.rows),
        expect=before.run if before else None,
    )
    return TableResult(load.target, "completed", counter.rows, total, watermark_before=low, watermark_after=high)


class _Counter:
    """Counts rows and keeps the highest watermark while they stream by."""

    def __init__(self, watermark: str | None, target: str, on_progress: OnProgress | None) -> None:
        self.watermark, self.target, self.on_progress = watermark, target, on_progress
        self.rows = 0
        self._high: Any = None

    def count(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            self.rows += batch.num_rows
            if self.watermark is not None:
                high = pc.max(batch.column(self.watermark)).as_py()
                if high is not None and (self._high is None or high > self._high):
                    self._high = high
            if self.on_progress is not None:
                self.on_progress(self.target, self.rows, None)
            yield batch

    @property
    def high(self) -> str | None:
        return None if self._high is None else _to_text(self._high)


def _to_text(value: Any) -> str:
    if isinstance(value, dt.date | dt.datetime | dt.time):
        return json.dumps(value.isoformat())
    return json.dumps(str(value) if isinstance(value, Decimal) else value)


def _step_back(low: str | None, load: TableLoad, planned: LoadPlan) -> str | None:
    if low is None:
        return None if load.start is None else json.dumps(load.start.isoformat())
    if not load.lookback_seconds:
        return low
    assert planned.watermark is not None
    kind = planned.write.column(planned.watermark).type
    back = dt.timedelta(seconds=load.lookback_seconds)
    value = json.loads(low)
    if kind == "DATE":
        return json.dumps((dt.date.fromisoformat(value) - back).isoformat())
    if kind in ("TIMESTAMP", "DATETIME"):
        return json.dumps((dt.datetime.fromisoformat(value) - back).isoformat())
    raise LoadError(f"lookback is a time, but the watermark of {load.source!r} is {kind}. Leave lookback= out.")


def _existing(warehouse: Warehouse, table: str) -> Any:
    try:
        return warehouse.schema(table)
    except NotFound:
        return None


def _rows(target: Any) -> int:
    return (target.rows or 0) if target is not None else 0


def _shown(watermark: str | None) -> str:
    return "" if watermark is None else str(json.loads(watermark))
