"""A source whose tables are lists in memory, for what the loader does with any source."""

import json
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc

from b2brecs import Connection, Source, SourceSettings, register_source
from b2brecs.errors import NotFound, SourceError
from b2brecs.sources import KeyRange, SourceFile
from b2brecs.types import TableSchema

TABLES: dict[str, "Table"] = {}


class Table:
    """Arrow columns with warehouse types; ``files`` maps names to rows for a table of files."""

    def __init__(self, schema, rows=(), *, files=None, safe=None):
        self.schema, self.rows, self.files, self.safe = schema, list(rows), files, safe
        self.reads = []
        self.fail = []
        self.stamp = 0
        self.batch = 1000


class MemorySettings(SourceSettings):
    kind = "memory"


class MemorySource(Source[MemorySettings]):
    def test(self):
        return "it is there"

    def tables(self):
        return [TableSchema(name, ()) for name in TABLES]

    def _table(self, name):
        if name not in TABLES:
            raise NotFound("table", name, list(TABLES), where="memory")
        return TABLES[name]

    def schema(self, table):
        return self._table(table).schema

    def estimate(self, table, since=None):
        return len(self._table(table).rows)

    def safe_high(self, table, column):
        return self._table(table.name).safe

    def key_range(self, table, since, parts):
        name = table.primary_key[0] if table.primary_key else None
        if name is None:
            return None
        values = sorted(row[name] for row in self._table(table.name).rows)
        return KeyRange(name, "INT64", (json.dumps(values[0]), json.dumps(values[-1])), False, len(values))

    @contextmanager
    def snapshot(self):
        yield "moment"

    def files(self, table):
        found = self._table(table).files
        if found is None:
            return None
        return [SourceFile(name, len(rows), repr(rows)) for name, rows in found.items()]

    def read(self, table, part=None, *, on_reject=None):
        from b2brecs.sources import WHOLE

        part = part or WHOLE
        held = self._table(table.name)
        held.reads.append(part)
        if held.files is None:
            rows = list(held.rows)
        else:
            rows = [{**row, "_source_file": name} for name, some in held.files.items()
                    if name in part.files for row in (some if isinstance(some, list) else [])]  # fmt: skip
            for name in part.files:
                if not isinstance(held.files[name], list):
                    raise SourceError("memory", f"{name} is broken.")
        if held.fail:
            raise held.fail.pop(0)
        if part.since is not None and part.since.value is not None:
            low = json.loads(part.since.value)
            rows = [r for r in rows if r[part.since.column] is None or text(r[part.since.column]) >= str(low)]
        if part.column is not None:
            low, high = (None if b is None else json.loads(b) for b in (part.low, part.high))
            rows = [
                r for r in rows if (low is None or r[part.column] >= low) and (high is None or r[part.column] < high)
            ]
        columns = {name: [row.get(name) for row in rows] for name in table.names}
        full = pa.table({name: pa.array(values) for name, values in columns.items()})
        full = full.cast(
            pa.schema([pa.field(f.name, pa.string() if pa.types.is_null(f.type) else f.type) for f in full.schema])
        )
        return pa.RecordBatchReader.from_batches(full.schema, full.to_batches(held.batch))


def text(value):
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


register_source(MemorySettings, MemorySource)


def connection(name="memory"):
    return Connection(name, source=MemorySettings())


__all__ = ["TABLES", "MemorySource", "Table", "connection", "pc"]
