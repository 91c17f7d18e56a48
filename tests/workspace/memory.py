"""A source in memory: two tables of a few rows, and hooks that run between its batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pyarrow as pa

from b2brecs import Column, Source, SourceSettings, TableSchema, register_source
from b2brecs.configs.secrets import SecretRef
from b2brecs.errors import SourceError
from b2brecs.sources import WHOLE

ROWS = 4
# Table → what is called before each batch but the first, with the batch's number.
HOOKS: dict[str, Callable[[int], object]] = {}


class MemorySettings(SourceSettings):
    kind = "shop_memory"
    place: str = "here"
    password: SecretRef | None = None

    def identity(self) -> tuple[str, ...]:
        return ("shop_memory", self.place)


class MemorySource(Source[MemorySettings]):
    """Each row is a batch; a table named ``bad…`` fails, and ``endless`` goes on for minutes."""

    def test(self) -> str:
        HOOKS.get("test", lambda _number: None)(0)
        if self.settings.password is not None:
            return f"let in with {len(self.read_secret(self.settings.password))} characters"
        return "2 tables"

    def tables(self) -> list[TableSchema]:
        return [TableSchema("one", (), rows=ROWS), TableSchema("two", (), rows=ROWS)]

    def schema(self, table: str) -> TableSchema:
        return TableSchema(table, (Column("id", "INT64"), Column("name", "STRING")), rows=ROWS)

    def read(self, table, part=WHOLE, *, on_reject=None):
        if self.settings.password is not None:
            self.read_secret(self.settings.password)

        def batches() -> Iterator[pa.RecordBatch]:
            # The endless table comes to an end too, so that a broken test does.
            for number in range(20_000 if table.name == "endless" else ROWS):
                if table.name == "endless":
                    time.sleep(0.005)
                if number and table.name in HOOKS:
                    HOOKS[table.name](number)
                if number and table.name.startswith("bad"):
                    raise SourceError("memory", "it is bad")
                yield pa.record_batch({"id": pa.array([number], pa.int64()), "name": [f"row {number}"]})

        return pa.RecordBatchReader.from_batches(pa.schema([("id", pa.int64()), ("name", pa.string())]), batches())


register_source(MemorySettings, MemorySource)
