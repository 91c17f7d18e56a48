"""What a load's commit consists of: the rows, their history, and their rejects."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence

import pyarrow as pa

from b2brecs.backends.protocols import Change, Staged
from b2brecs.etl.around import Surroundings, existing, rows_of
from b2brecs.etl.plan import LoadPlan
from b2brecs.etl.rejects import RejectLog
from b2brecs.etl.results import FileResult
from b2brecs.etl.tracking import FileChanges
from b2brecs.sources import Since
from b2brecs.types import TIME_TYPES, Column, TableSchema

SNAPSHOT_DATE = "_snapshot_date"
HISTORY = "__history"


def main_change(
    staged: Staged,
    planned: LoadPlan,
    since: Since | None,
    changes: FileChanges | None,
    skipped: Sequence[FileResult] = (),
    *,
    disjoint: bool = True,
) -> Change:
    """Return what the staged rows do to the table; unless ``disjoint``, a row may have been read twice."""
    load, partition = planned.load, None
    if planned.watermark is not None and planned.write.column(planned.watermark).type in TIME_TYPES:
        partition = planned.watermark
    if planned.mode == "replace" and changes is not None:
        left_out = {item.name for item in skipped}
        # What accumulates keeps the rows of a file that is gone; a catalog is what the files are.
        gone = changes.gone if load.strategy == "catalog" else ()
        removed = tuple(name for name in (*gone, *changes.modified) if name not in left_out)
        return Change(staged, "replace", planned.keys, removed=removed, partition=partition)
    low = since.value if since is not None and planned.mode == "refresh" else None
    mode = "merge" if planned.mode == "swap" and planned.keys and not disjoint else planned.mode
    order = None if mode != "merge" or (planned.unique and disjoint) else planned.watermark
    return Change(staged, mode, planned.keys, low=low, partition=partition, order=order)


def stage_history(around: Surroundings, staged: Staged, target: str) -> Change:
    """Stage the rows once more, with today's date (UTC), to replace what the day already has."""
    today = dt.datetime.now(dt.UTC).date()
    day = Column(SNAPSHOT_DATE, "DATE", nullable=False)
    rows = around.warehouse.query(rows_of(staged.name, staged.schema.names))

    def dated() -> Iterator[pa.RecordBatch]:
        for batch in rows:
            dates = pa.array([today] * batch.num_rows, pa.date32())
            yield batch.append_column(pa.field(SNAPSHOT_DATE, pa.date32(), nullable=False), dates)

    schema = TableSchema(f"{target}{HISTORY}", (*staged.schema.columns, day))
    again = around.warehouse.stage(schema, around.run, dated())
    return Change(again, "replace", (SNAPSHOT_DATE,), partition=SNAPSHOT_DATE)


def stage_rejects(around: Surroundings, planned: LoadPlan, rejects: RejectLog, before: str) -> Change | None:
    """Stage the rejects, unless they are those of the last load (``before`` is its digest).

    A table that is loaded as a whole has those of its last load; others keep theirs.
    """
    whole = planned.load.strategy == "catalog" and planned.mode == "swap"
    if rejects.digest == before or not (rejects.count or whole):
        return None
    if not rejects.count and existing(around.warehouse, rejects.schema.name) is None:
        return None
    staged = around.warehouse.stage(rejects.schema, around.run, rejects.batches())
    return Change(staged, "swap") if whole else Change(staged, "replace", ("row", "column"))
