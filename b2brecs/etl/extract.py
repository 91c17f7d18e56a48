"""Rows from a source into a staging table: read in parts, cast, counted. One stream, whatever the table's size."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pyarrow as pa
from sqlglot import exp

from b2brecs.backends.protocols import Staged
from b2brecs.errors import Cancelled, SourceError
from b2brecs.etl.around import Surroundings, Tally, column
from b2brecs.etl.cast import cast_batches, finite_max
from b2brecs.etl.plan import SOURCE_FILE, LoadPlan
from b2brecs.etl.reading import read_parts
from b2brecs.etl.rejects import RejectLog
from b2brecs.etl.results import FileResult
from b2brecs.sources import Part, Reject
from b2brecs.sql.arrow import arrow_schema
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    from b2brecs.etl.beam import BeamRead


@dataclasses.dataclass
class Extraction:
    """One table's way from the source to the staging table.

    ``workers`` parts are read at the same time; with ``beam`` workers elsewhere read them.
    """

    around: Surroundings
    planned: LoadPlan
    parts: Sequence[Part]
    rejects: RejectLog
    tally: Tally
    workers: int = 1
    beam: bool = False
    total: int | None = None

    @property
    def disjoint(self) -> bool:
        """Whether no row can be in two parts, although they need not be of one moment."""
        return len(self.parts) == 1 or {part.column for part in self.parts} <= set(self.planned.load.primary_key)

    def stage(self) -> Staged:
        """Read all and stage it.

        Raises
        ------
        SourceError
            The source failed.
        Cancelled
            Somebody asked to stop.
        """
        around, planned = self.around, self.planned
        schema = TableSchema(planned.write.name, (*planned.write.columns, *planned.gone))
        with ExitStack() as held:
            cast = cast_batches(
                self._counted(self._stream(held)), planned.write, bounds=around.warehouse.bounds, on_reject=self.rejects
            )
            staged = around.warehouse.stage(schema, around.run, self._watched(cast, schema))
        for skipped in self.tally.skipped:
            theirs = exp.EQ(this=column(SOURCE_FILE), expression=exp.Literal.string(skipped.name))
            staged = around.warehouse.discard(staged, theirs)
        return staged

    def _stream(self, held: ExitStack) -> Iterator[pa.RecordBatch]:
        if self.beam:
            return self._by_beam(held)
        if self.planned.load.on_bad_file == "skip":
            return self._file_by_file()
        return read_parts(
            self.around.source, self.planned.read, self.parts, workers=self.workers, on_reject=self._take()
        )

    def _by_beam(self, held: ExitStack) -> Iterator[pa.RecordBatch]:
        from b2brecs.etl.beam import read_with_beam

        around = self.around
        assert around.connection is not None
        # The secrets of this machine stay on it.
        elsewhere = around.home is not None and not around.home.startswith("local")
        read: BeamRead = held.enter_context(
            read_with_beam(
                around.connection, around.home if elsewhere and around.home else around.source.read_secret,
                self.planned.read, self.parts,
                f"{around.files or '.'}/beam/{around.run}-{self.planned.load.target}",
                options=dict(around.job.engine.options), stop=around.stop,
            )
        )  # fmt: skip
        take = self._take()
        for reject in read.rejects():
            take(reject)
        return read.batches()

    def _file_by_file(self) -> Iterator[pa.RecordBatch]:
        """Read files one by one; one that cannot be read is left out, and is tried again by the next run."""
        for part in self.parts:
            try:
                yield from self.around.source.read(self.planned.read, part, on_reject=self._take())
            except SourceError as error:
                self.tally.skipped.extend(FileResult(name, "skipped", str(error)) for name in part.files)

    def _take(self) -> Callable[[Reject], None]:
        """Return what takes the rows that the source itself could not read."""
        names = dict(zip(self.planned.read.names, self.planned.write.names, strict=True))

        def take(reject: Reject) -> None:
            self.tally.rows += 1
            self.rejects(dataclasses.replace(reject, column=names.get(reject.column, reject.column)))

        return take

    def _counted(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tally, around = self.tally, self.around
        for batch in batches:
            if around.stop is not None and around.stop():
                raise Cancelled(f"the load of {self.planned.load.target!r} was stopped; the table is as it was.")
            tally.rows += batch.num_rows
            tally.bytes += batch.nbytes
            yield batch
            if around.on_progress is not None:
                around.on_progress(f"{self.planned.load.target}: reading", tally.rows, self.total, tally.bytes)

    def _watched(self, batches: Iterator[pa.RecordBatch], schema: TableSchema) -> Iterator[pa.RecordBatch]:
        """Keep the greatest watermark of the rows that fit, and fill what the source no longer has."""
        tally, watermark = self.tally, self.planned.watermark
        full = arrow_schema(schema.columns) if self.planned.gone else None
        for batch in batches:
            if watermark is not None:
                high = finite_max(batch.column(watermark))
                if high is not None and (tally.high is None or high > tally.high):
                    tally.high = high
            yield batch if full is None else _with_nulls(batch, full)


def _with_nulls(batch: pa.RecordBatch, full: pa.Schema) -> pa.RecordBatch:
    there = set(batch.schema.names)
    arrays = [batch.column(item.name) if item.name in there else pa.nulls(batch.num_rows, item.type) for item in full]
    return pa.RecordBatch.from_arrays(arrays, schema=full)
