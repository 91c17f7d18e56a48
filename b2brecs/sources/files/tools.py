"""What one source of files works with."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from b2brecs.configs.sources import FileSettings
from b2brecs.errors import SourceError
from b2brecs.sources.base import SourceFile
from b2brecs.sources.files.complaints import Trouble, explain
from b2brecs.sources.files.csv_files import CsvFormat
from b2brecs.sources.files.guard import Guard, Ready
from b2brecs.sources.files.json_files import JsonFormat
from b2brecs.sources.files.layout import Format
from b2brecs.sources.files.parquet_files import ParquetFormat
from b2brecs.sources.files.spool import Spool
from b2brecs.sources.files.store import Store

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")


@dataclass(frozen=True)
class Tools:
    """The store of a source, its settings, and what reads its files."""

    label: str
    settings: FileSettings
    store: Store
    spool: Spool
    guard: Guard
    csv: CsvFormat
    json: JsonFormat
    parquet: ParquetFormat

    @classmethod
    def of(cls, label: str, settings: FileSettings, store: Store) -> Tools:
        """Make the tools of a source."""
        spool = Spool(store)
        guard = Guard(label, settings, spool.folder)
        formats = CsvFormat(label, settings), JsonFormat(label, settings), ParquetFormat(label, settings)
        return cls(label, settings, store, spool, guard, *formats)

    def together(self, kind: Format, readies: Sequence[Ready]) -> list[Ready]:
        """Put neighbours that one query can read into one."""
        if len(readies) < 2:
            return list(readies)
        like = {"csv": self.csv.likeness, "json": self.json.likeness, "parquet": self.parquet.likeness}[kind]
        groups = [list(group) for _, group in itertools.groupby(readies, key=like)]
        return [dataclasses.replace(first, others=tuple(others)) for first, *others in groups]

    @contextmanager
    def all_ready(self, kind: Format, group: Iterable[tuple[SourceFile, Path]]) -> Iterator[list[Ready]]:
        """Make files ready to be read; what was made for that is removed afterwards."""
        made: list[tuple[Ready, Path]] = []
        try:
            for file, path in group:
                ready = self.guard.parquet(file, path) if kind == "parquet" else self.guard.text(file, path)
                made.append((ready, path))
            yield [ready for ready, _ in made]
        finally:
            for ready, path in made:
                self.guard.done(ready, path)

    def remedied(self, ready: Ready, trouble: Trouble) -> Ready:
        """Return the file in another way in which DuckDB may read it.

        Raises
        ------
        SourceError
            There is none.
        """
        if trouble.remedy == "even" and not ready.even:
            return self.guard.even(ready)
        if trouble.remedy == "single" and not ready.single:
            return dataclasses.replace(ready, single=True)
        raise SourceError(self.label, trouble.reason, trouble.fix, transient=trouble.transient)

    def attempt(self, ready: Ready, act: Callable[[Ready], object]) -> None:
        """Do something with a file, or with several, one by one and in another way if need be.

        ``act`` is done again from the start, so it must not leave anything behind before it succeeds.

        Raises
        ------
        SourceError
            A file cannot be read.
        """
        first = ready
        try:
            while True:
                try:
                    act(ready)
                except Exception as error:
                    trouble = explain(ready, error)
                    if trouble is None:
                        raise
                else:
                    return
                if ready.others:
                    break
                ready = self.remedied(ready, trouble)
        finally:
            self.guard.done(ready, first.path)
        for single in first.singles:
            self.attempt(single, act)


def forget_rejects(connection: duckdb.DuckDBPyConnection) -> None:
    """Remove DuckDB's tables of lines that it put aside."""
    connection.execute("DROP TABLE IF EXISTS reject_errors")
    connection.execute("DROP TABLE IF EXISTS reject_scans")
