"""The columns of a table of files, and their types."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING

import sqlglot
from sqlglot import exp

from b2brecs.errors import SourceError
from b2brecs.sources.base import SourceFile
from b2brecs.sources.files.csv_files import Head
from b2brecs.sources.files.guard import HEAD, Ready
from b2brecs.sources.files.inference import MAJORITY, Evidence, count_items, count_json, count_texts
from b2brecs.sources.files.json_files import pointer
from b2brecs.sources.files.layout import FileTable, is_compressed
from b2brecs.sources.files.parquet_files import widen
from b2brecs.sources.files.pieces import first_piece, footer_of, other_pieces
from b2brecs.sources.files.sample import FILES, GROWTH, SEEN_BYTES, spread
from b2brecs.sources.files.scan import MANY_COLUMNS, Names, check_width
from b2brecs.sources.files.sql import call, column, named, number, select, sql, texts
from b2brecs.sources.files.tools import Tools, forget_rejects
from b2brecs.types import Column, ColumnType

if TYPE_CHECKING:
    import duckdb

Counting = Callable[["duckdb.DuckDBPyConnection", exp.Select, Sequence[Evidence], float], None]

# Rows that are looked at first: most columns of text are known as such by then.
_FIRST_ROWS = 2000
_WORTH_IT_BYTES = 1024 * 1024
_SAMPLE_ROWS = 50_000
# Of remote files, so many are asked for their columns; a listing may name a hundred thousand.
_ASKED_FILES = 100
# More than an object has keys: what tells their order.
_KEYS = 1_000_000


def is_seen(table: FileTable) -> bool:
    """Whether the files are small enough together for every value to be looked at."""
    return sum(file.size * (GROWTH if is_compressed(file.name) else 1) for file in table.files) <= SEEN_BYTES


def describe(tools: Tools, table: FileTable, connection: duckdb.DuckDBPyConnection) -> tuple[Column, ...]:
    """Find a table's columns: those of all its files by name, in the order in which they first appear.

    Raises
    ------
    SourceError
        A file cannot be read, or none of them has a column.
    """
    if table.format == "parquet":
        types = _parquet(tools, table)
    elif table.format == "csv":
        types = _CsvTypes(tools, table, connection).find()
    else:
        types = _JsonTypes(tools, table, connection).find()
    check_width(tools.label, f"table {table.name!r}", len(types))
    if not types:
        raise SourceError(tools.label, f"the files of table {table.name!r} are empty: they have no columns.")
    known = {column.name: column.type for column in tools.settings.types}
    return tuple(Column(name, known.get(name) or kind) for name, kind in types.items())


def _parquet(tools: Tools, table: FileTable) -> dict[str, ColumnType]:
    found: dict[str, ColumnType | None] = {}
    for file in table.files if tools.store.local else spread(table.files, _ASKED_FILES):
        with footer_of(tools, file) as footer:
            columns = tools.parquet.columns(footer)
        before_it, names = Names(found), frozenset(name for name, _ in columns)
        for name, kind in columns:
            known = _known(name, before_it, names)
            before = found.get(known)
            found[known] = kind if before is None else before if kind is None else widen(before, kind)
    return {name: kind or "STRING" for name, kind in found.items()}


class _Types:
    """Finds types of text by looking at values: all of them, or those of pieces."""

    def __init__(self, tools: Tools, table: FileTable, connection: duckdb.DuckDBPyConnection) -> None:
        self.tools, self.connection, self.format = tools, connection, table.format
        self.files = [file for file in table.files if file.size]
        self.seen = is_seen(table)
        self.share = 1.0 if self.seen else MAJORITY
        self.given = {column.name for column in tools.settings.types}
        self.found: dict[str, Evidence] = {}

    def find(self) -> dict[str, ColumnType]:
        """Return the columns with their types."""
        if self.seen:
            self._look_at_whole(self.files)
        else:
            self._look_at_pieces()
        return {name: evidence.type(self.share) for name, evidence in self.found.items()}

    def _look_at_whole(self, files: Sequence[SourceFile]) -> None:
        for group in self.tools.spool.groups(files):
            with self.tools.all_ready(self.format, group) as readies:
                for ready in self.tools.together(self.format, readies):
                    self._look(ready)

    def _look(self, ready: Ready) -> None:
        raise NotImplementedError

    def _look_at_pieces(self) -> None:
        raise NotImplementedError

    def _take(self, names: Sequence[str]) -> list[tuple[int, Evidence]]:
        """Take note of a file's columns; return which of them to look at, and what is known of them."""
        wanted = []
        before, here = Names(self.found), frozenset(names)
        for place, name in enumerate(names):
            known = _known(name, before, here)
            evidence = self.found.setdefault(known, Evidence())
            if known not in self.given:
                wanted.append((place, evidence))
        return wanted

    def _limits(self, ready: Ready) -> tuple[int | None, ...]:
        """Return of how many rows to look at the values, one time after the other."""
        if not self.seen:
            return (_SAMPLE_ROWS,)
        large = sum(path.stat().st_size for path in ready.paths) > _WORTH_IT_BYTES
        return (_FIRST_ROWS, None) if large else (None,)

    def _count(self, ready: Ready, query: exp.Select, found: Sequence[Evidence], counting: Counting) -> None:
        """Count, and keep what was counted only when all was."""
        copies = [Evidence(item.total, Counter(item.counts)) for item in found]
        try:
            for limit in self._limits(ready):
                counting(self.connection, query if limit is None else query.limit(limit), copies, self.share)
        finally:
            forget_rejects(self.connection)
        for item, counted in zip(found, copies, strict=True):
            item.total, item.counts = counted.total, counted.counts


class _CsvTypes(_Types):
    def _look(self, ready: Ready) -> None:
        self._look_at(ready, self.tools.csv.head(ready), header=self.tools.settings.header)

    def _look_at_pieces(self) -> None:
        tools = self.tools
        chosen = spread(self.files, FILES)
        asked = self.files if tools.store.local else spread(self.files, _ASKED_FILES)
        heads: dict[str, Head] = {}
        for file in dict.fromkeys((*asked, *chosen)):
            with first_piece(tools, file, HEAD) as piece:
                heads[file.name] = tools.csv.head(piece)
            before = len(self.found)
            self._take(heads[file.name].names)
            if len(self.found) > before and file not in chosen and len(chosen) < 2 * FILES:
                # Nothing is known of a column until somebody looks into a file that has it.
                chosen.append(file)
        for file in chosen:
            with first_piece(tools, file) as piece:
                self._look(piece)
            for piece in other_pieces(tools, file):
                self._look_at(piece, heads[file.name], header=False, is_piece=True)

    def _look_at(self, ready: Ready, head: Head, *, header: bool, is_piece: bool = False) -> None:
        wanted = self._take(head.names)

        def count(ready: Ready) -> None:
            table = self.tools.csv.table(ready, head, header=header, rejects=True)
            query = select([named(column(f"f{place}"), f"c{index}") for index, (place, _) in enumerate(wanted)], table)
            if not is_piece or self._is_cut_well(query):
                self._count(ready, query, [evidence for _, evidence in wanted], count_texts)

        if wanted:
            self.tools.attempt(ready, count)

    def _is_cut_well(self, query: exp.Select) -> bool:
        """Whether a piece begins where a row does, not within quotes."""
        [(count,)] = self.connection.execute(sql(select([call("count", exp.Star())], query))).fetchall()
        [(broken,)] = self.connection.execute("SELECT count(DISTINCT line) FROM reject_errors").fetchall()
        return bool(broken <= (count + broken) * (1 - MAJORITY))


class _JsonTypes(_Types):
    def _look_at_pieces(self) -> None:
        for file in spread(self.files, FILES):
            with first_piece(self.tools, file) as piece:
                lines = self.tools.json.shape(piece, whole=False) == "lines"
                if lines:
                    self._look(piece)
            if lines:
                for piece in other_pieces(self.tools, file):
                    self._look(piece)
            elif self.tools.store.local or not self.found:
                # A list cannot be cut; of remote ones, one is enough.
                self._look_at_whole([file])

    def _look(self, ready: Ready) -> None:
        def count(ready: Ready) -> None:
            objects = self.tools.json.objects(ready, rejects=True).where(column("w"), copy=False)
            if not self.seen:
                objects = objects.limit(_SAMPLE_ROWS, copy=False)
            names = self._keys(ready, objects)
            wanted = self._take(names)
            evidence = [item for _, item in wanted]
            query = _values(objects, [pointer(names[place]) for place, _ in wanted])
            if wanted:
                self._count(ready, query, evidence, count_json)
            for index, item in enumerate(evidence):
                if item.counts["list"] and item.counts["list"] == item.total:
                    count_items(self.connection, query, index, item)

        self.tools.attempt(ready, count)

    def _keys(self, ready: Ready, objects: exp.Select) -> list[str]:
        """Return the keys of all objects, in the order in which they first appear."""
        row = sqlglot.parse_one("row_number() OVER ()", dialect="duckdb")
        listed = select([named(call("json_keys", column("j")), "ks"), named(row, "n")], objects)
        places = call("unnest", call("range", call("len", column("ks"))))
        single = select([named(call("unnest", column("ks")), "k"), named(places, "i"), column("n")], listed)
        first = exp.Add(this=exp.Mul(this=column("n"), expression=number(_KEYS)), expression=column("i"))
        query = select([column("k"), named(call("min", first), "place")], single)
        query = query.group_by(column("k"), copy=False).order_by(column("place"), copy=False).limit(MANY_COLUMNS + 1)
        names = [str(name) for name, _ in self.connection.execute(sql(query)).fetchall()]
        check_width(self.tools.label, ready.name, len(names))
        return names


def _values(objects: exp.Select, keys: list[str]) -> exp.Select:
    """Return the query of the values under some keys, and of what JSON calls them: ``c0``, ``k0`` and so on."""
    values = [
        named(call("json_extract_string", column("j"), texts(keys)), "t"),
        named(call("json_type", column("j"), texts(keys)), "k"),
    ]
    chosen: list[exp.Expr] = []
    for index in range(len(keys)):
        chosen.append(named(call("list_extract", column("t"), number(index + 1)), f"c{index}"))
        chosen.append(named(call("list_extract", column("k"), number(index + 1)), f"k{index}"))
    return select(chosen or [exp.Null()], select(values, objects))


def _known(name: str, found: Names, names: Collection[str]) -> str:
    """Return under which name a file's column is known already, perhaps in other letters; else its own."""
    place = found.find(name, names)
    return name if place is None else found.there[place]
