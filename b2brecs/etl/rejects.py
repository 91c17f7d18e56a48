"""Rows that could not be loaded, kept on disk while a load runs, then committed beside the table."""

from __future__ import annotations

import datetime as dt
import hashlib
import tempfile
from collections.abc import Iterator
from typing import IO, Self, cast

import pyarrow as pa

from b2brecs.errors import LoadError
from b2brecs.sources import Reject
from b2brecs.sql.arrow import arrow_schema
from b2brecs.types import Column, TableSchema

SUFFIX = "__rejects"
_BORNE = 10
_AT_ONCE = 4096
_SPOOLED = 16 * 2**20
# Long rows are cut: a reject is there to be found at the source, not to be loaded from here.
_ROW_CHARACTERS = 1_000_000


def rejects_schema(target: str) -> TableSchema:
    """Return the table of a target's rejects: the row as JSON text, the column that is wrong, and why."""
    return TableSchema(
        f"{target}{SUFFIX}",
        (
            Column("row", "STRING", nullable=False),
            Column("column", "STRING", nullable=False),
            Column("reason", "STRING"),
            Column("run", "STRING"),
            Column("rejected_at", "TIMESTAMP"),
        ),
    )


class RejectLog:
    """Takes rejects and gives them back as batches; call it with a ``Reject``. Memory is bounded.

    Parameters
    ----------
    target, run
        The table that the rows did not fit, and the run.
    share
        Share of the rows read that may be rejected; ten rows are borne unless it is 0.
    """

    def __init__(self, target: str, run: str, share: float) -> None:
        self.schema = rejects_schema(target)
        self.target, self.run, self.share = target, run, share
        self.count = 0
        self.first: Reject | None = None
        self._digest = 0
        self._arrow = arrow_schema(self.schema.columns)
        self._pending: list[Reject] = []
        self._file: IO[bytes] | None = None
        self._writer: pa.RecordBatchStreamWriter | None = None
        self._at = dt.datetime.now(dt.UTC)

    def __call__(self, reject: Reject) -> None:
        self.first = self.first or reject
        self.count += 1
        text = f"{reject.row}\0{reject.column}".encode()
        self._digest = (self._digest + int.from_bytes(hashlib.blake2b(text, digest_size=8).digest())) % 2**64
        if self.share == 0:
            self.check(self.count)
        self._pending.append(reject)
        if len(self._pending) >= _AT_ONCE:
            self._write()

    @property
    def digest(self) -> str:
        """The same for the same rejects in any order, whatever the run."""
        return f"{self.count}:{self._digest:016x}" if self.count else ""

    def check(self, read: int) -> None:
        """Refuse the load if too many rows were rejected.

        Raises
        ------
        LoadError
            They were; it names the first.
        """
        if not self.count or (self.share and self.count <= max(_BORNE, self.share * read)):
            return
        assert self.first is not None
        raise LoadError(
            f"{self.count:,} of {read:,} rows for table {self.target!r} do not fit, more than "
            f"max_rejects={self.share:g} allows. The first, in column {self.first.column!r}: {self.first.reason}. "
            f"Say types={{{self.first.column!r}: 'STRING'}} to load it as text, or max_rejects=1 to let such rows "
            f"go to {self.schema.name!r}."
        )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Return all that was taken."""
        self._write()
        if self._writer is None or self._file is None:
            return
        self._writer.close()
        self._file.seek(0)
        with pa.ipc.open_stream(self._file) as reader:
            yield from reader

    def close(self) -> None:
        """Give back the disk space."""
        if self._file is not None:
            self._file.close()
            self._file = self._writer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self) -> None:
        if not self._pending:
            return
        if self._writer is None:
            self._file = cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=_SPOOLED, mode="w+b"))  # noqa: SIM115
            self._writer = pa.ipc.new_stream(self._file, self._arrow)
        rows = self._pending
        self._writer.write_batch(
            pa.RecordBatch.from_arrays(
                [
                    pa.array([item.row[:_ROW_CHARACTERS] for item in rows], pa.string()),
                    pa.array([item.column for item in rows], pa.string()),
                    pa.array([item.reason for item in rows], pa.string()),
                    pa.array([self.run] * len(rows), pa.string()),
                    pa.array([self._at] * len(rows), self._arrow.field("rejected_at").type),
                ],
                schema=self._arrow,
            )
        )
        self._pending = []
