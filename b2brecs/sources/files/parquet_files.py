"""Parquet: columns that have types."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from b2brecs.configs.sources import FileSettings
from b2brecs.errors import SourceError
from b2brecs.sources.files.guard import HARMLESS, Ready
from b2brecs.sources.files.scan import NOTHING, PATH, Names, Scan, check_width, distinct
from b2brecs.sources.files.sql import call, column, files, named, select, sql, text
from b2brecs.types import COLUMN_TYPES, ColumnType

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa
    import pyarrow.parquet as pq

# DuckDB makes a double of a decimal with more digits than this.
_DUCKDB_DIGITS = 38
_ROWS = 8192


class ParquetFormat:
    """How a source's Parquet files are read."""

    def __init__(self, label: str, settings: FileSettings) -> None:
        self.label, self.settings = label, settings

    def footer(self, name: str, file: Any) -> pq.ParquetFile:
        """Open a file, by path or as a stream, and look at its footer only.

        Raises
        ------
        SourceError
            It is no Parquet file, or is cut off, or grows beyond all measure.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            found = pq.ParquetFile(file, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise SourceError(self.label, f"{name}: this is no whole Parquet file.",
                              "Check format=, or write or upload it again.")  from None  # fmt: skip
        groups = [found.metadata.row_group(index) for index in range(found.metadata.num_row_groups)]
        packed = sum(group.column(i).total_compressed_size for group in groups for i in range(group.num_columns))
        if sum(group.total_byte_size for group in groups) > max(HARMLESS, packed * self.settings.max_expansion):
            raise SourceError(
                self.label,
                f"{name}: it grows to more than {self.settings.max_expansion} times its size, as an attack would.",
                "Raise max_expansion= if you trust it.",
            )  # fmt: skip
        check_width(self.label, name, len(found.schema_arrow))
        return found

    def columns(self, file: pq.ParquetFile) -> list[tuple[str, ColumnType | None]]:
        """Return a file's columns with their warehouse types; None for a column of nothing but NULL."""
        import pyarrow as pa

        schema = file.schema_arrow
        return [
            (name, None if pa.types.is_null(kind) else warehouse_type(kind))
            for name, kind in zip(distinct(schema.names), schema.types, strict=True)
        ]

    def likeness(self, ready: Ready) -> Hashable:
        """Return what files have in common that one query can read."""
        with self.footer(ready.name, ready.path) as file:
            schema = file.schema_arrow
        if any(_is_wide(kind) for kind in schema.types):
            return ready.path
        return tuple(schema.names), tuple(map(str, schema.types))

    def scan(
        self, ready: Ready, names: Sequence[str], connection: duckdb.DuckDBPyConnection, *, path: bool = False
    ) -> Scan:
        """Return the columns of these names; NULL for those that the file has not."""
        with self.footer(ready.name, ready.path) as file:
            schema = file.schema_arrow
        there, wanted = Names(distinct(schema.names)), frozenset(names)
        places = [there.find(name, wanted) for name in names]
        used = list(range(len(there.there)))
        options = {"filename": text(PATH)} if path else {}
        source = exp.Table(this=call("read_parquet", files(ready.paths), **options))
        if any(place is not None and _is_wide(schema.field(place).type) for place in places):
            used = sorted({place for place in places if place is not None})
            connection.register("b2b_file", _by_arrow(ready, schema, used))
            source = exp.to_table("b2b_file")
        native = [str(kind) for kind in connection.sql(sql(select([exp.Star()], source))).types]
        ours = [*(f"f{place}" for place in used), *([PATH] if path else [])]
        source.set(
            "alias", exp.TableAlias(this=exp.to_identifier("t"), columns=[exp.to_identifier(name) for name in ours])
        )
        chosen: list[exp.Expr] = [column(PATH)] if path else []
        chosen += [
            named(exp.Null() if place is None else column(f"f{place}"), f"c{index}")
            for index, place in enumerate(places)
        ]
        kinds = tuple(NOTHING if place is None else native[used.index(place)] for place in places)
        return Scan(select(chosen or [exp.Null()], source), kinds, path=path)


def warehouse_type(kind: pa.DataType) -> ColumnType:
    """Return the warehouse type of a Parquet column; structs, maps and lists of them are JSON."""
    import pyarrow as pa

    from b2brecs.sql.arrow import column_type

    if pa.types.is_nested(kind):
        found = column_type(kind)
        plain = (pa.types.is_list(kind) or pa.types.is_large_list(kind)) and not pa.types.is_nested(kind.value_type)
        return found if plain and found in COLUMN_TYPES else "JSON"
    if pa.types.is_duration(kind):
        # In the file it is a number.
        return "INT64"
    if pa.types.is_decimal(kind) and (kind.scale > _DUCKDB_DIGITS or kind.precision - kind.scale > _DUCKDB_DIGITS):
        return "STRING"
    if isinstance(kind, pa.BaseExtensionType) and not pa.types.is_string(kind.storage_type):
        return "STRING"
    return column_type(kind)


def widen(one: ColumnType, other: ColumnType) -> ColumnType:
    """Return the type that holds the values of two files' columns of one name."""
    if one == other:
        return one
    pair = {one, other}
    for wide, narrow in (("FLOAT64", {"INT64"}), ("NUMERIC", {"INT64"}), ("BIGNUMERIC", {"INT64", "NUMERIC"}),
                         ("DATETIME", {"DATE"}), ("TIMESTAMP", {"DATE", "DATETIME"})):  # fmt: skip
        if wide in pair and pair - {wide} <= narrow:
            return wide
    return "STRING"


def _is_wide(kind: pa.DataType) -> bool:
    import pyarrow as pa

    if pa.types.is_nested(kind):
        return any(_is_wide(kind.field(index).type) for index in range(kind.num_fields))
    return bool(pa.types.is_decimal(kind) and kind.precision > _DUCKDB_DIGITS)


def _by_arrow(ready: Ready, schema: pa.Schema, used: Sequence[int]) -> pa.RecordBatchReader:
    """Read some columns by Arrow; long decimals are text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def shown(kind: pa.DataType) -> pa.DataType:
        if pa.types.is_decimal(kind) and _is_wide(kind):
            return pa.string()
        # What DuckDB reads from a file, but not from Arrow.
        return pa.float32() if pa.types.is_float16(kind) else pa.int64() if pa.types.is_duration(kind) else kind

    target = pa.schema([pa.field(f"f{place}", shown(schema.field(place).type)) for place in used])

    def batches() -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(ready.path, pre_buffer=False, buffer_size=65536) as file:
            for batch in file.iter_batches(_ROWS, use_threads=False):
                arrays = [batch.column(place).cast(item.type) for place, item in zip(used, target, strict=True)]
                yield pa.RecordBatch.from_arrays(arrays, schema=target)

    return pa.RecordBatchReader.from_batches(target, batches())
