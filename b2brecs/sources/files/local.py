"""Folders of CSV, Parquet and JSON files."""

from __future__ import annotations

import codecs
import gzip
import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from b2brecs.configs.connection import FilesSettings
from b2brecs.errors import NotFound, SourceError
from b2brecs.sources.base import Since, Source
from b2brecs.sources.files.inference import infer_types
from b2brecs.types import Column, TableSchema

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_FORMATS = {
    ".csv": "csv", ".tsv": "csv", ".csv.gz": "csv", ".csv.zst": "csv",
    ".parquet": "parquet",
    ".json": "json", ".jsonl": "json", ".ndjson": "json", ".json.gz": "json", ".jsonl.gz": "json",
}  # fmt: skip


def file_format(path: Path) -> str | None:
    """Return csv, parquet or json by the file's name, or None."""
    name = path.name.lower()
    return next((kind for ending, kind in sorted(_FORMATS.items(), reverse=True) if name.endswith(ending)), None)


def table_name(path: Path) -> str:
    """Return the file's name without its ending."""
    name = path.name
    for ending in sorted(_FORMATS, key=len, reverse=True):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return name


class FilesSource(Source[FilesSettings]):
    """Files below a folder; each pattern, file or sub-folder of one format is a table."""

    _copies: tempfile.TemporaryDirectory[str] | None = None

    def test(self) -> str:
        found = self._files()
        return f"{len(found)} tables in {sum(map(len, found.values()))} files"

    def tables(self) -> list[TableSchema]:
        return [TableSchema(name, ()) for name in sorted(self._files())]

    def schema(self, table: str) -> TableSchema:
        files, kind = self._table(table)
        relation = self._relation(files, kind)
        if kind == "parquet":
            from b2brecs.sql.arrow import table_schema

            return table_schema(table, relation.to_arrow_reader(1).schema)
        known = {column.name: column.type for column in self.settings.types}
        names = relation.columns
        inferred = infer_types(relation, [name for name in names if name not in known])
        return TableSchema(table, tuple(Column(name, known.get(name) or inferred[name]) for name in names))

    def read(self, table: TableSchema, *, since: Since | None = None) -> pa.RecordBatchReader:
        import duckdb

        files, kind = self._table(table.name)
        relation = self._relation(files, kind)
        missing = [name for name in table.names if name not in relation.columns]
        if missing:
            raise NotFound("column", missing[0], relation.columns, where=f"file table {table.name!r}")
        # Text is read as its type here, by the rules that found the type.
        typed = {
            column.name: duckdb.ColumnExpression(column.name).cast(_duck_type(column.type)).alias(column.name)
            if kind != "parquet"
            else duckdb.ColumnExpression(column.name)
            for column in table.columns
        }
        try:
            relation = relation.select(*typed.values())
            if since is not None:
                column = duckdb.ColumnExpression(since.column)
                if since.value is not None:
                    target = next(item.type for item in table.columns if item.name == since.column)
                    bound = duckdb.ConstantExpression(json.loads(since.value)).cast(_duck_type(target))
                    relation = relation.filter(column.isnull() | (column >= bound))
                relation = relation.sort(column)
            return relation.to_arrow_reader(self.BATCH_ROWS)
        except duckdb.Error as error:
            raise self._failed(error) from None

    def _files(self) -> dict[str, list[Path]]:
        root = Path(self.settings.path).expanduser()
        if not root.is_dir():
            raise SourceError(self.settings.label(), "there is no such folder.", "Check the connection's path=.")
        found: dict[str, list[Path]] = {}
        if self.settings.tables:
            for name, pattern in self.settings.tables:
                found[name] = sorted(path for path in root.glob(pattern) if path.is_file())
                if not found[name]:
                    raise SourceError(self.settings.label(), f"no file matches {pattern!r} (table {name!r}).")
            return found
        for path in sorted(root.iterdir()):
            if path.is_file() and file_format(path):
                found.setdefault(table_name(path), []).append(path)
            elif path.is_dir():
                inside = sorted(item for item in path.iterdir() if item.is_file() and file_format(item))
                if inside and len({file_format(item) for item in inside}) == 1:
                    found[path.name] = inside
        return found

    def _table(self, table: str) -> tuple[list[Path], str]:
        found = self._files()
        if table not in found:
            raise NotFound("table", table, found, where=self.settings.label())
        kinds = {file_format(path) or "csv" for path in found[table]}
        if len(kinds) > 1:
            raise SourceError(self.settings.label(), f"table {table!r} mixes {' and '.join(sorted(kinds))} files.",
                              "Give tables={name: pattern} with one format each.")  # fmt: skip
        return found[table], kinds.pop()

    def _relation(self, files: list[Path], kind: str) -> duckdb.DuckDBPyRelation:
        import duckdb

        connection = duckdb.connect()
        connection.execute("SET TimeZone='UTC'")
        paths: Any = [str(path) for path in (files if kind != "csv" else self._utf8(files))]
        try:
            if kind == "parquet":
                return connection.read_parquet(paths, union_by_name=True)
            if kind == "json":
                return connection.read_json(paths)
            # Everything is text first: a sniffed type would eat the zeros of a code such as 00123.
            return connection.read_csv(
                paths,
                header=self.settings.header,
                sep="\t" if files[0].name.lower().endswith(".tsv") else self.settings.delimiter,
                all_varchar=True,
                quotechar='"',
                escapechar='"',
                allow_quoted_nulls=False,
                union_by_name=True,
            )
        except duckdb.Error as error:
            raise self._failed(error) from None

    def _utf8(self, files: list[Path]) -> list[Path]:
        """Copy files of another encoding to UTF-8 ones, which is all that DuckDB reads by itself."""
        try:
            encoding = codecs.lookup(self.settings.encoding).name
        except LookupError:
            raise SourceError(self.settings.label(), f"there is no encoding {self.settings.encoding!r}.") from None
        if encoding in ("utf-8", "ascii"):
            return files
        if self._copies is None:
            self._copies = tempfile.TemporaryDirectory(prefix="b2brecs-")
        copied = []
        for number, path in enumerate(files):
            target = Path(self._copies.name) / f"{number}-{table_name(path)}.csv"
            if not target.exists():
                read = gzip.open if path.name.lower().endswith(".gz") else open
                try:
                    with (
                        read(path, "rt", encoding=encoding, newline="") as source,
                        target.open("w", encoding="utf-8", newline="") as sink,
                    ):
                        shutil.copyfileobj(source, sink)
                except UnicodeDecodeError as error:
                    raise SourceError(self.settings.label(), f"{path.name} is not {encoding}: {error.reason}.",
                                      "Check encoding=.") from None  # fmt: skip
            copied.append(target)
        return copied

    def close(self) -> None:
        if self._copies is not None:
            self._copies.cleanup()
            self._copies = None

    def _failed(self, error: Exception) -> SourceError:
        return SourceError(self.settings.label(), str(error).splitlines()[0])


def _duck_type(kind: str) -> str:
    from sqlglot import exp

    return exp.DataType.build(kind, dialect="bigquery").sql("duckdb")
