"""CSV: lines of separated values, every one of them text at first."""

from __future__ import annotations

import csv
import io
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from b2brecs.configs.sources import FileSettings
from b2brecs.errors import SourceError
from b2brecs.sources.files.guard import Ready, as_text
from b2brecs.sources.files.scan import NOT_UTF8, NOTHING, PATH, TEXT, Names, Scan, check_width, distinct, line_options
from b2brecs.sources.files.sql import column, csv_table, named, number, select, text

_HEADER_CHARACTERS = 1024 * 1024


@dataclass(frozen=True)
class Head:
    """The beginning of a file: how many blank lines come first, and the names of the columns."""

    blank: int
    names: tuple[str, ...]


class CsvFormat:
    """How a source's CSV files are written."""

    def __init__(self, label: str, settings: FileSettings) -> None:
        self.label, self.settings = label, settings

    def head(self, ready: Ready) -> Head:
        """Return a file's columns: the names in its first line, or ``column_0``, ``column_1``, ….

        Raises
        ------
        SourceError
            The first line cannot be read.
        """
        blank, record = self._first(ready)
        check_width(self.label, ready.name, len(record))
        if not self.settings.header:
            return Head(0, tuple(f"column_{index}" for index in range(len(record))))
        return Head(blank, tuple(distinct(record)))

    def likeness(self, ready: Ready) -> Hashable:
        """Return what files have in common that one query can read."""
        return self.head(ready), ready.compression, self.delimiter(ready)

    def scan(
        self,
        ready: Ready,
        names: Sequence[str],
        *,
        rejects: bool,
        path: bool = False,
        kinds: Mapping[str, str] | None = None,
    ) -> Scan:
        """Return the columns of these names; NULL for those that the file has not.

        Parameters
        ----------
        rejects
            Whether broken lines are put aside.
        path
            Whether there is a column that says where the file lies.
        kinds
            DuckDB types in which columns are read at once; all others are text.
        """
        head = self.head(ready)
        there, wanted = Names(head.names), frozenset(names)
        chosen: list[exp.Expr] = [column(PATH)] if path else []
        found: list[str] = []
        typed: dict[int, str] = {}
        for index, name in enumerate(names):
            place = there.find(name, wanted)
            kind = NOTHING if place is None else (kinds or {}).get(name, TEXT)
            if place is not None:
                typed[place] = kind
            found.append(kind)
            chosen.append(named(exp.Null() if place is None else column(f"f{place}"), f"c{index}"))
        table = self.table(ready, head, header=self.settings.header, rejects=rejects, path=path, kinds=typed)
        return Scan(select(chosen or [exp.Null()], table), tuple(found), path=path)

    def table(
        self,
        ready: Ready,
        head: Head,
        *,
        header: bool,
        rejects: bool,
        path: bool = False,
        kinds: Mapping[int, str] | None = None,
    ) -> exp.Anonymous:
        """Return DuckDB's reader of a file, its columns ``f0``, ``f1`` and so on."""
        options = {
            **line_options(ready, rejects=rejects, path=path),
            "header": exp.convert(header),
            "skip": number(head.blank if header else 0),
            "delim": text(self.delimiter(ready)),
            "quote": text(self.settings.quote),
            "escape": text(self.settings.quote),
            "allow_quoted_nulls": exp.false(),
        }
        columns = {f"f{index}": (kinds or {}).get(index, TEXT) for index in range(len(head.names))}
        return csv_table(ready.paths, columns, options)

    def delimiter(self, ready: Ready) -> str:
        """Return what separates values."""
        name = ready.name.lower().removesuffix(".gz").removesuffix(".zst")
        return "\t" if name.endswith(".tsv") else self.settings.delimiter

    def records(self, ready: Ready, limit: int | None = None) -> Any:
        """Return Python's reader of a file: slow, and it knows where it is."""
        return csv.reader(_lines(as_text(ready), limit), delimiter=self.delimiter(ready), quotechar=self.settings.quote)

    def _first(self, ready: Ready) -> tuple[int, list[str]]:
        reader = self.records(ready, _HEADER_CHARACTERS)
        blank = 0
        try:
            for record in reader:
                if record:
                    "".join(record).encode()
                    return blank, record
                blank = reader.line_num
        except UnicodeEncodeError:
            reason = f"{ready.name}, line {reader.line_num}: this is not UTF-8."
            raise SourceError(self.label, reason, NOT_UTF8) from None
        except csv.Error as error:
            reason = f"{ready.name}, line {reader.line_num + 1}: the columns cannot be told: {error}."
            raise SourceError(self.label, reason, "Check quote= and delimiter=.") from None
        return blank, []


def _lines(stream: io.TextIOWrapper, limit: int | None) -> Iterator[str]:
    with stream:
        left = limit
        while line := stream.readline(-1 if left is None else left):
            yield line
            if left is not None:
                left -= len(line)
                if left <= 0:
                    raise csv.Error("the line is too long")
