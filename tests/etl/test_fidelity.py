"""Awkward values, loaded into both homes and compared with the source row by row."""

import datetime as dt
import json
from decimal import Decimal

import psycopg2
import pyarrow as pa
import pytest
from sqlglot import exp

from b2brecs import Connection, EtlJob, Secret
from b2brecs.backends.local.duckdb import DuckDBWarehouse
from b2brecs.etl.run import run_job
from b2brecs.sources import open_source

pytest.importorskip("google.cloud.bigquery")
from tests.conformance.gcp import gcp_warehouse  # noqa: F401

COLUMNS = {
    "id": "int PRIMARY KEY",
    "big": "bigint",
    "price": "numeric(12,2)",
    "digits": "numeric(38,0)",
    "fine": "numeric(30,15)",
    "free": "numeric",
    "ratio": "double precision",
    "at": "timestamptz",
    "local": "timestamp",
    "day": "date",
    "clock": "time",
    "span": "interval",
    "address": "inet",
    "key": "uuid",
    "doc": "json",
    "docb": "jsonb",
    "raw": "bytea",
    "tags": "text[]",
    "counts": "bigint[]",
    "note": "text",
    "ok": "boolean",
    '"; DROP TABLE x; --': "text",
    "sélect 🙂": "text",
}
ROWS = [
    (1, 2**62, "1234567890.12", "9" * 38, "123456789012345.123456789012345", "1e30", "0.1", "2024-03-31 01:30:00.123456+02",
     "2024-03-31 02:30:00", "2024-02-29", "23:59:59.999999", "1 year 2 mons 3 days 04:05:06.7", "10.0.0.1/8",
     "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", '{"a": 1,  "a": 2}', '{"b": [1, 2.50]}', "\\x00ff10", '{a,"b,c",""}', "{1,-2}",
     'zeile\nzwei\t"zitat" 🙂', True, "'; --", "ü"),
    (2, -1, "-0.01", "-1", "-0.000000000000001", "0.123456789012345678901234567890", "-1e300", "1900-01-01 00:00:00+00",
     "0001-01-01 00:00:00", "0001-01-01", "00:00:00", "-1 days", "::1", "00000000-0000-0000-0000-000000000000", "null", "null",
     "\\x", "{}", "{}", "", False, "", ""),
    (3, *[None] * (len(COLUMNS) - 1)),
    (4, 0, "0", "0", "0", "NaN", "NaN", "9999-12-31 23:59:59.999999+00", "9999-12-31 23:59:59.999999", "9999-12-31", "12:00",
     "0", "192.168.0.0/16", "ffffffff-ffff-ffff-ffff-ffffffffffff", '"text"', '"text"', "\\x61", "{x}", "{0}", " padded ", True,
     "x", "y"),
]  # fmt: skip
INFINITE = (5, *[None] * 6, "infinity", "-infinity", "infinity", *[None] * (len(COLUMNS) - 10))


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
def awkward(postgres, monkeypatch):
    monkeypatch.setenv("SHOP_PASSWORD", postgres.password)
    connection = psycopg2.connect(postgres.url("postgresql"))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS awkward")
        cursor.execute(f"CREATE TABLE awkward ({', '.join(f'{quoted(n)} {k}' for n, k in COLUMNS.items())})")
        marks = ", ".join(f"%s::{kind.split(' PRIMARY')[0]}" for kind in COLUMNS.values())
        for row in (*ROWS, INFINITE):
            cursor.execute(f"INSERT INTO awkward VALUES ({marks})", row)
        # An address's cast to text adds the mask of a single host, which the server does not show.
        shown = {
            "at": "(at AT TIME ZONE 'UTC')::text",
            "address": "CASE WHEN address IS NOT NULL THEN format('%s', address) END",
        }
        cursor.execute(
            f"SELECT {', '.join(shown.get(n, f'{quoted(n)}::text') for n in COLUMNS)} FROM awkward ORDER BY id"
        )
        wanted = cursor.fetchall()
    connection.close()
    source = Connection.postgres(
        "erp", host=postgres.host, port=postgres.port, database=postgres.database, user=postgres.user,
        password=Secret("env:SHOP_PASSWORD"),
    )  # fmt: skip
    return source, wanted


def secret(reference):
    import os

    return os.environ[reference.key]


def text_of(scalar, kind):
    """Write a loaded value as PostgreSQL writes it."""
    if not scalar.is_valid:
        return None
    if pa.types.is_timestamp(scalar.type) or pa.types.is_date(scalar.type):
        number = scalar.cast(pa.int32() if pa.types.is_date32(scalar.type) else pa.int64()).as_py()
        if abs(number) >= (2**31 - 1 if pa.types.is_date32(scalar.type) else 2**63 - 1):
            return "infinity" if number > 0 else "-infinity"
    value = scalar.as_py()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return value.normalize()
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, dt.datetime):
        return value.replace(tzinfo=None).isoformat(" ")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value).lower()
    if isinstance(value, list):
        return value
    return str(value) if kind != "jsonb" else json.loads(value)


def same(wanted, kind):
    if wanted is None:
        return None
    if kind.startswith("numeric") and kind in ("numeric(12,2)", "numeric(30,15)"):
        return Decimal(wanted).normalize()
    if kind == "double precision":
        return repr(float(wanted)).lower()
    if kind == "jsonb":
        return json.loads(wanted)
    if kind == "text[]":
        return {"{}": [], "{x}": ["x"]}.get(wanted, ["a", "b,c", ""])
    if kind == "bigint[]":
        return json.loads(wanted.replace("{", "[").replace("}", "]"))
    return wanted


@pytest.fixture(params=["local", "gcp"])
def warehouse(request, tmp_path):
    if request.param == "gcp":
        yield request.getfixturevalue("gcp_warehouse")
        return
    opened = DuckDBWarehouse(tmp_path / "warehouse.duckdb")
    yield opened
    opened.close()


def test_postgres_values_arrive_as_they_are(warehouse, awkward):
    connection, wanted = awkward
    job = EtlJob("job", connection="erp").load("awkward")
    result = run_job(job, open_source(connection, secret), warehouse).tables[0]
    assert result.error == ""
    names = warehouse.schema("awkward").names
    query = (
        exp.select(*(exp.column(n, quoted=True) for n in names))
        .from_(exp.to_table("awkward"))
        .order_by(exp.column("id"))
    )
    table = warehouse.query(query).read_all()
    kinds = list(COLUMNS.values())
    expected = wanted if "TIMESTAMP" not in warehouse.bounds else wanted[:-1]
    found = [[text_of(table.column(c)[r], kinds[c]) for c in range(table.num_columns)] for r in range(table.num_rows)]
    for row, should in zip(found, expected, strict=True):
        for value, text, (name, kind) in zip(row, should, COLUMNS.items(), strict=True):
            should_be = same(text, kind)
            if kind in ("text[]", "bigint[]") and should_be is None and value == []:
                continue  # BigQuery keeps no NULL arrays; it is declared.
            assert value == should_be, (name, should[0])
    if len(expected) < len(wanted):
        assert (result.rows_rejected, result.rows_total) == (1, 4)
        kept = (
            warehouse.query(exp.select("row", "column").from_(exp.to_table("awkward__rejects"))).read_all().to_pylist()
        )
        assert "infinity" in kept[0]["row"]
        assert kept[0]["column"] == "at"
    assert run_job(job, open_source(connection, secret), warehouse).tables[0].status == "unchanged"
