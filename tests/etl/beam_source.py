"""A source for Beam's tests: rows of a SQLite file, read by key ranges; it can be told to fail."""

import datetime as dt
import os
import sqlite3
import threading
from collections import Counter
from contextlib import closing, contextmanager
from typing import ClassVar

import pyarrow as pa
from sqlglot import exp

from b2brecs.configs.connection import Connection
from b2brecs.configs.secrets import SecretRef
from b2brecs.configs.sources import SourceSettings
from b2brecs.errors import SourceError
from b2brecs.etl.parts import cut
from b2brecs.sources.base import KeyRange, Part, Reject, Source, register_source
from b2brecs.sources.select import select_part
from b2brecs.types import Column, TableSchema

PASSWORD = "hunter2-very-secret"
TABLE = TableSchema("rows", (Column("id", "INT64"), Column("at", "DATETIME"), Column("price", "NUMERIC"), Column("note", "STRING")))  # fmt: skip
ROWS = 20_000


class TableSettings(SourceSettings):
    kind: ClassVar[str] = "beam_test"
    path: str
    trouble: str = ""
    password: SecretRef | None = None


class TableSource(Source[TableSettings]):
    """The source."""

    BATCH_ROWS: ClassVar[int] = 2_000
    tries: ClassVar[Counter] = Counter()
    moments: ClassVar[list] = []
    lock: ClassVar = threading.Lock()

    def test(self):
        return "rows"

    def tables(self):
        return [TABLE]

    def schema(self, table):
        return TABLE

    @contextmanager
    def snapshot(self):
        self.moments.append("held")
        yield "a moment"
        self.moments.append("let go")

    def read(self, table, part=Part(), *, on_reject=None):  # noqa: B008
        if self.settings.password is not None:
            secret = self.read_secret(self.settings.password)
        with self.lock:
            self.tries[part.low] += 1
            first = self.tries[part.low] == 1
        if self.settings.trouble == "bug" and part.low is not None:
            raise RuntimeError(f"cannot log in with {secret}")
        if self.settings.trouble == "refused" and part.low is not None:
            raise SourceError("shop", f"no permission for {secret!r}.", "Ask for it.")
        if self.settings.trouble == "passes" and first:
            raise SourceError("shop", "come back later.", transient=True)
        if self.settings.trouble == "reject" and on_reject is not None:
            on_reject(Reject('{"id": "😀 x\\n"}', "id", "is no number"))
        schema = pa.schema([("id", pa.int64()), ("at", pa.timestamp("us")), ("price", pa.string()), ("note", pa.dictionary(pa.int32(), pa.string()))])  # fmt: skip

        def batches():
            names = [exp.column(exp.to_identifier(name, quoted=True)) for name in table.names]
            query = select_part(exp.to_table("rows"), names, part, {}, dialect="sqlite").sql("sqlite")
            with closing(sqlite3.connect(self.settings.path)) as connection:
                cursor = connection.execute(query)
                while rows := cursor.fetchmany(self.BATCH_ROWS):
                    ids, ats, prices, notes = zip(*rows, strict=True)
                    moments = pa.array([at and dt.datetime.fromisoformat(at) for at in ats], pa.timestamp("us"))
                    yield pa.record_batch([pa.array(ids, pa.int64()), moments, pa.array(prices, pa.string()), pa.array(notes, pa.string()).dictionary_encode()], schema)  # fmt: skip
                    if self.settings.trouble == "midway" and first and part.low is not None:
                        raise SourceError("shop", "the line went dead.", transient=True)

        return pa.RecordBatchReader.from_batches(schema, batches())


register_source(TableSettings, TableSource)


def from_environment(secret):
    return os.environ[secret.key]


def leaking(secret, known=None):
    return {"env:SHOP": PASSWORD}[secret.reference]


class Vault:
    """Reads secrets, and does not travel."""

    def __init__(self, known=PASSWORD):
        self.known, self.lock = known, threading.Lock()

    def get(self, secret):
        return self.known


def connect(path, **settings):
    return Connection("shop", source=TableSettings(path=str(path), **settings))


def pieces(count=4, since=None):
    return cut(KeyRange("id", "INT64", ("0", str(ROWS)), nullable=True, rows=100 * ROWS), count, since=since)
