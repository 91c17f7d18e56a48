"""The rows of one file, in batches; what does not fit is given out, or ends the reading with the place where it is."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from b2brecs.errors import SourceError, show
from b2brecs.sources.base import WHOLE, OnReject, Part, Reject
from b2brecs.sources.files.complaints import Trouble, explain, misfit, rejected_lines
from b2brecs.sources.files.guard import Ready
from b2brecs.sources.files.query import BROKEN, Wanted, build
from b2brecs.sources.files.scan import PATH, SHOWN_BYTES, Scan
from b2brecs.sources.files.tools import Tools, forget_rejects

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

SOURCE_FILE = "_source_file"


@dataclass
class FileStream:
    """How the files of one reading are streamed.

    Parameters
    ----------
    tools
        Of the source.
    connection
        Ours alone, one query at a time.
    scan
        Makes a file a query.
    wanted
        The columns to read.
    part
        Which rows.
    schema
        Of the batches: the columns, in order, ``SOURCE_FILE`` among them or not.
    locate
        Finds where in a file its nth row is: "line 3".
    """

    tools: Tools
    connection: duckdb.DuckDBPyConnection
    scan: Callable[..., Scan]
    wanted: Sequence[Wanted]
    part: Part
    schema: pa.Schema
    batch_rows: int
    locate: Callable[[Ready, int], str]
    on_reject: OnReject | None = None
    # Rows that are not to be given out again.
    _skip: int = field(default=0, init=False)
    # Whether every value is looked at before the cast: from the first one on that needed it.
    _careful: bool = field(default=False, init=False)
    _running: Generator[pa.RecordBatch, None, None] | None = field(default=None, init=False)

    def rows(self, ready: Ready) -> Iterator[pa.RecordBatch]:
        """Stream a file, or several that one query reads.

        Raises
        ------
        SourceError
            A file cannot be read to its end, or a value does not fit and nobody takes rejects.
        """
        self._skip = 0
        if not ready.others:
            yield from self._single(ready)
            return
        try:
            trouble = yield from self._attempt(ready)
            if trouble is not None and self._now_careful(trouble):
                trouble = yield from self._attempt(ready)
            if trouble is None:
                return
        except _WrongRow:
            pass
        # One by one, to say where it is; what was given out already is not given again.
        self._forget_lines()
        for single in ready.singles:
            yield from self._single(single)

    def _single(self, ready: Ready) -> Iterator[pa.RecordBatch]:
        first = ready
        try:
            while (trouble := (yield from self._attempt(ready))) is not None:
                # Some files DuckDB reads only when told how; it then gives the same rows, of which we have had some.
                self._forget_lines()
                if not self._now_careful(trouble):
                    ready = self.tools.remedied(ready, trouble)
        finally:
            self.tools.guard.done(ready, first.path)

    def _attempt(self, ready: Ready) -> Generator[pa.RecordBatch, None, Trouble | None]:
        """Give the rows after the first ``_skip``, which then says how many rows of the next file are to be skipped."""
        skip, seen = self._skip, 0
        names = {str(item.path): item.name for item in ready.singles}
        batches = self._running = self._raw(ready, self.part)
        while True:
            try:
                batch = next(batches, None)
            except Exception as error:
                trouble = explain(ready, error)
                if trouble is None:
                    raise
                return trouble
            if batch is None:
                self._skip = max(0, skip - seen)
                self._report_lines(names)
                return None
            seen += batch.num_rows
            if seen > skip:
                fresh = batch.slice(max(0, skip - seen + batch.num_rows))
                fitting = self._fitting(ready, fresh, seen - fresh.num_rows, names)
                skip = self._skip = seen
                yield fitting

    def _now_careful(self, trouble: Trouble) -> bool:
        """Become careful, if that may help; return whether it may."""
        helps = trouble.remedy == "careful" or (trouble.remedy == "" and self.on_reject is not None)
        if self._careful or not helps:
            return False
        self._careful = True
        return True

    def _raw(self, ready: Ready, part: Part) -> Generator[pa.RecordBatch, None, None]:
        statement = build(self.scan(ready, careful=self._careful), self.wanted, part, careful=self._careful)
        with closing(self.connection.sql(statement).to_arrow_reader(self.batch_rows)) as reader:
            yield from reader

    def _fitting(self, ready: Ready, batch: pa.RecordBatch, before: int, names: Mapping[str, str]) -> pa.RecordBatch:
        """Return the rows that fit, in the shape that was asked for."""
        import pyarrow as pa
        import pyarrow.compute as pc

        width = len(self.wanted)
        if "wrong" in batch.schema.names and batch.column(width).null_count < batch.num_rows:
            wrong = batch.column(width)
            for index in pc.indices_nonzero(pc.is_valid(wrong)).to_pylist():
                self._complain(ready, batch, index, before, names)
            batch = batch.filter(pc.is_null(wrong))
        columns = iter(batch.columns)
        arrays = []
        for item in self.schema:
            if item.name != SOURCE_FILE:
                array = next(columns)
                arrays.append(array if array.type == item.type else array.cast(item.type))
            elif ready.others:
                paths = batch.column(batch.num_columns - 1).dictionary_encode()
                known = pa.array([names[path] for path in paths.dictionary.to_pylist()], item.type)
                arrays.append(pa.DictionaryArray.from_arrays(paths.indices, known).dictionary_decode())
            else:
                arrays.append(pa.repeat(pa.scalar(ready.name, item.type), batch.num_rows))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)

    def _complain(self, ready: Ready, batch: pa.RecordBatch, index: int, before: int, names: Mapping[str, str]) -> None:
        if self.on_reject is None and ready.others:
            raise _WrongRow
        width = len(self.wanted)
        found = batch.column(width)[index].as_py()
        values = batch.column(width + 1)[index].as_py()
        line = batch.column("s1")[index].as_py() if "s1" in batch.schema.names else None
        row = line if line is not None else _as_object([item.column.name for item in self.wanted], values)
        name = names[batch.column(PATH)[index].as_py()] if ready.others else ready.name
        if found == BROKEN:
            column, reason, fix = "", "this is not a JSON object.", ""
        else:
            item = self.wanted[found]
            column = item.column.name
            reason, fix = misfit(values[found], item.column, item.trust)
        if self.on_reject is not None:
            self.on_reject(Reject(row[:SHOWN_BYTES], column, f"{name}: {reason}"))
            return
        place = self._place(ready, before + index, found, values, line)
        where = ", ".join(item for item in (name, place, f"column {show(column)}" if column else "") if item)
        raise SourceError(self.tools.label, f"{where}: {reason}{f' {show(row)}' if found == BROKEN else ''}", fix)

    def _place(self, ready: Ready, row: int, wrong: int, values: Any, line: str | None) -> str:
        """Say where a row is; if only some rows were asked for, by looking for it among all."""
        if self.part.since is None and self.part.column is None:
            return self.locate(ready, row)
        width = len(self.wanted)
        before = 0
        self._careful = True
        if self._running is not None:
            # One query at a time.
            self._running.close()
        for batch in self._raw(ready, WHOLE):
            for index, found in enumerate(batch.column(width).to_pylist()):
                if found != wrong or batch.column(width + 1)[index].as_py() != values:
                    continue
                if line is None or batch.column("s1")[index].as_py() == line:
                    return self.locate(ready, before + index)
            before += batch.num_rows
        return ""

    def _report_lines(self, names: Mapping[str, str]) -> None:
        if self.on_reject is None or not self._careful:
            return
        for path, line, text, reason in rejected_lines(self.connection):
            self.on_reject(Reject(text, "", f"{names.get(path, path)}, line {line:,}: {reason}"))
        self._forget_lines()

    def _forget_lines(self) -> None:
        if self.on_reject is not None and self._careful:
            forget_rejects(self.connection)


class _WrongRow(Exception):
    """A row does not fit, and it is not known yet where it is."""


def _as_object(names: Sequence[str], values: Sequence[str | None]) -> str:
    return json.dumps(dict(zip(names, values, strict=True)), ensure_ascii=False)
