"""SQLite's values: any kind in any column. What is no value of a type is a reject, never changed and never NULL."""

import datetime as dt
import json
import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b2brecs.errors import SourceError
from b2brecs.sources import Part, Since
from b2brecs.sources.sqlite_metadata import NativeColumn
from b2brecs.types import Column, ColumnType
from tests.sources.test_sqlite import opened, rows, write

DECLARED = {
    "INT": "INT64", "INTEGER": "INT64", "TINYINT(1)": "INT64", "UNSIGNED BIG INT": "INT64", "int8": "INT64", "BIT": "INT64",
    "CHARACTER(20)": "STRING", "VARCHAR(255)": "STRING", "NVARCHAR(100)": "STRING", "TEXT": "STRING", "CLOB": "STRING",
    "BLOB": "BYTES", "VARBINARY(10)": "BYTES", "bytea": "BYTES", "REAL": "FLOAT64", "DOUBLE PRECISION": "FLOAT64",
    "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "bool": "BOOL", "DATE": "DATE", "DATETIME": "DATETIME", "TIMESTAMP": "DATETIME",
    "TIMESTAMP(6)": "DATETIME", "TIMESTAMPTZ": "TIMESTAMP", "TIMESTAMP WITH TIME ZONE": "TIMESTAMP", "TIME": "TIME",
    "JSON": "JSON", "jsonb": "JSON", "DECIMAL(10,2)": "NUMERIC", "decimal": "NUMERIC", "NUMERIC(38, 9)": "NUMERIC",
    "NUMERIC(38,19)": "BIGNUMERIC", "DECIMAL(65,30)": "STRING", "NUMERIC(5)": "NUMERIC", "money": "NUMERIC", "": "STRING",
    "UUID": "STRING", "whatever": "STRING",
}  # fmt: skip


@pytest.mark.parametrize("declared", DECLARED)
def test_a_declared_type_is_the_warehouses(declared):
    assert NativeColumn("x", declared).type == DECLARED[declared]


@pytest.mark.parametrize("declared", DECLARED)
def test_affinities_are_those_of_sqlite(tmp_path, declared):
    path = write(tmp_path / "a.db", f"CREATE TABLE t (x {declared})", "INSERT INTO t VALUES ('1'), (1.5), ('1.5')")
    with closing(sqlite3.connect(path)) as connection:
        kept = [row[0] for row in connection.execute("SELECT typeof(x) FROM t")]
    affinity = NativeColumn("x", declared).affinity
    assert kept == {
        "INTEGER": ["integer", "real", "real"], "NUMERIC": ["integer", "real", "real"], "REAL": ["real"] * 3,
        "TEXT": ["text"] * 3, "BLOB": ["text", "real", "text"],
    }[affinity]  # fmt: skip


# Wanted type → values as they are kept, and what they are; the rest of EVERYTHING does not fit.
D = Decimal
EVERYTHING = [
    0, 1, 2, -5, 2**63 - 1, -(2**63), 2**53 + 1, 0.0, 1.0, 0.1, -2.5, 1e300, math.inf, -math.inf,
    "", "0", "1", "00123", "-5", "1.10", "0.1", "1e5", "true", "FALSE", "yes", "NULL", "{}", '{"a": 1.10}', "é😀", " 1", "1_0",
    "2024-02-29", "2024-02-30", "2024-02-29 10:11:12", "2024-02-29T10:11:12.000001", "2024-02-29 10:11:12Z",
    "2024-02-29T10:11:12+02:00", "2024-02-29 10:11:12.1234567", "0000-00-00", "10:11:12", "10:11:12.5", "25:00:00",
    b"", b"blob", b"\xff", "1e400", "nan", "12345678901234567890.5", "nul\0inside",
]  # fmt: skip
MOMENT = dt.datetime(2024, 2, 29, 10, 11, 12)
FITS: dict[str, list[tuple]] = {
    "INT64": [(0, 0), (1, 1), (2, 2), (-5, -5), (2**63 - 1, 2**63 - 1), (-(2**63), -(2**63)), (2**53 + 1, 2**53 + 1),
              (0.0, 0), (1.0, 1), ("0", 0), ("1", 1), ("-5", -5)],
    "FLOAT64": [(0, 0.0), (1, 1.0), (2, 2.0), (-5, -5.0), (0.0, 0.0), (1.0, 1.0), (0.1, 0.1), (-2.5, -2.5), (1e300, 1e300),
                (math.inf, math.inf), (-math.inf, -math.inf), ("0", 0.0), ("1", 1.0), ("-5", -5.0), ("1.10", 1.1),
                ("0.1", 0.1), ("1e5", 1e5), ("00123", 123.0), ("12345678901234567890.5", 12345678901234567890.5)],
    "NUMERIC": [(0, D(0)), (1, D(1)), (2, D(2)), (-5, D(-5)), (2**63 - 1, D(2**63 - 1)), (-(2**63), D(-(2**63))),
                (2**53 + 1, D(2**53 + 1)), (0.0, D(0)), (1.0, D(1)), (0.1, D("0.1")), (-2.5, D("-2.5")), ("0", D(0)),
                ("1", D(1)), ("-5", D(-5)), ("1.10", D("1.10")), ("0.1", D("0.1")), ("1e5", D(100000)), ("00123", D(123)),
                ("12345678901234567890.5", D("12345678901234567890.5"))],
    "BOOL": [(0, False), (1, True), ("0", False), ("1", True), ("true", True), ("FALSE", False)],
    "DATE": [("2024-02-29", dt.date(2024, 2, 29))],
    "DATETIME": [("2024-02-29", dt.datetime(2024, 2, 29)), ("2024-02-29 10:11:12", MOMENT),
                 ("2024-02-29T10:11:12.000001", MOMENT + dt.timedelta(microseconds=1))],
    "TIMESTAMP": [("2024-02-29", dt.datetime(2024, 2, 29, tzinfo=dt.UTC)), ("2024-02-29 10:11:12", MOMENT.replace(tzinfo=dt.UTC)),
                  ("2024-02-29T10:11:12.000001", (MOMENT + dt.timedelta(microseconds=1)).replace(tzinfo=dt.UTC)),
                  ("2024-02-29 10:11:12Z", MOMENT.replace(tzinfo=dt.UTC)),
                  ("2024-02-29T10:11:12+02:00", (MOMENT - dt.timedelta(hours=2)).replace(tzinfo=dt.UTC))],
    "TIME": [("10:11:12", dt.time(10, 11, 12)), ("10:11:12.5", dt.time(10, 11, 12, 500_000))],
    "STRING": [(value, value if isinstance(value, str) else repr(value)) for value in EVERYTHING if not isinstance(value, bytes)],
    "JSON": [(value, value if isinstance(value, str) else repr(value)) for value in EVERYTHING
             if not isinstance(value, bytes) and value not in (math.inf, -math.inf)],
    "BYTES": [(value, value if isinstance(value, bytes) else value.encode()) for value in EVERYTHING
              if isinstance(value, bytes | str)],
}  # fmt: skip


@pytest.fixture(scope="module")
def anything(tmp_path_factory):
    path = write(tmp_path_factory.mktemp("types") / "any.db", "CREATE TABLE t (n INTEGER PRIMARY KEY, x)")
    write(path, *[("INSERT INTO t VALUES (?, ?)", (n, value)) for n, value in enumerate([*EVERYTHING, None])])
    return path


@pytest.mark.parametrize("wanted", FITS)
def test_what_fits_a_type_is_exact_and_the_rest_is_rejected(anything, wanted):
    source = opened(anything)
    schema = replace(source.schema("t"), columns=(Column("n", "INT64"), Column("x", wanted)))
    refused: list = []
    table = source.read(schema, on_reject=refused.append).read_all()
    found = {row["n"]: row["x"] for row in table.to_pylist()}
    # 1, 1.0 and True are equal to Python, and different values here.
    expected = {
        n: known for n, value in enumerate(EVERYTHING) for fitting, known in FITS[wanted]
        if type(fitting) is type(value) and fitting == value
    }  # fmt: skip
    assert found.pop(len(EVERYTHING)) is None
    assert {n: (type(value), value) for n, value in found.items()} == {
        n: (type(value), value) for n, value in expected.items()
    }  # fmt: skip
    assert {json.loads(item.row)["n"] for item in refused} == set(range(len(EVERYTHING))) - set(expected)
    assert all(item.column == "x" and f"is no {wanted}" in item.reason for item in refused)
    assert len(refused) + table.num_rows == len(EVERYTHING) + 1


@pytest.mark.parametrize("wanted", [kind for kind in FITS if kind != "STRING"])
def test_without_someone_to_take_rejects_the_first_is_an_error(anything, wanted):
    source = opened(anything)
    schema = replace(source.schema("t"), columns=(Column("n", "INT64"), Column("x", wanted)))
    with pytest.raises(SourceError) as caught:
        source.read(schema).read_all()
    assert "column 'x' of table 't' holds" in caught.value.reason
    assert '"n": ' in caught.value.reason
    assert caught.value.fix.startswith("Say types={'x': ")


def test_a_blob_in_a_text_is_to_be_loaded_as_bytes(anything):
    source = opened(anything)
    with pytest.raises(SourceError, match=r"types=\{'x': 'BYTES'\}"):
        source.read(source.schema("t")).read_all()


def test_a_text_that_is_no_text_is_a_reject_wherever_it_lies(tmp_path):
    path = write(tmp_path / "broken.db", "CREATE TABLE t (n INTEGER PRIMARY KEY, x TEXT)")
    write(path, *[("INSERT INTO t VALUES (?, ?)", (n, f"text {n}")) for n in range(3000)],
          "UPDATE t SET x = CAST(x'ff41' AS TEXT) WHERE n IN (0, 700, 2999)")  # fmt: skip
    source = opened(path)
    schema = source.schema("t")
    refused: list = []
    found = source.read(schema, on_reject=refused.append).read_all()
    assert [json.loads(item.row) for item in refused] == [{"n": n, "x": "ff41"} for n in (0, 700, 2999)]
    assert found["n"].to_pylist() == [n for n in range(3000) if n not in (0, 700, 2999)]
    assert found["x"].to_pylist()[0] == "text 1"
    as_bytes = replace(schema, columns=(Column("n", "INT64"), Column("x", "BYTES")))
    assert source.read(as_bytes).read_all()["x"].to_pylist()[:2] == [b"\xffA", b"text 1"]


def test_decimals_keep_what_sqlite_kept(tmp_path):
    path = write(tmp_path / "money.db", "CREATE TABLE t (a DECIMAL(10,2), b DECIMAL(12,2), c TEXT)",
                 "INSERT INTO t VALUES ('12.10', 7, '12345678901234567.89'), (0.1, 1999999999.99, '0.10')")  # fmt: skip
    source = opened(path)
    schema = source.schema("t")
    wanted = replace(schema, columns=(*schema.columns[:2], Column("c", "NUMERIC")))
    assert [tuple(row.values()) for row in rows(source, wanted)] == [
        (D("12.10"), D(7), D("12345678901234567.89")), (D("0.1"), D("1999999999.99"), D("0.10")),
    ]  # fmt: skip


def test_strict_tables_and_other_encodings_are_read(tmp_path):
    path = write(
        tmp_path / "strict.db",
        "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t (a INT, b REAL, c TEXT, d BLOB, e ANY) STRICT",
        ("INSERT INTO t VALUES (1, 2, 'é😀', x'00', 'x')", ()),
    )
    source = opened(path)
    assert rows(source, source.schema("t")) == [{"a": 1, "b": 2.0, "c": "é😀", "d": b"\0", "e": "x"}]


# Reads since a value


TIMES = [
    "2024-03-01", "2024-03-01 00:00", "2024-03-01T00:00:00.000001", "2024-03-01 09:30:00", "2024-03-01T09:30:00",
    "2024-03-01 09:30:00.5", "2024-03-01T09:30:00.500000", "2024-02-29 23:59:59.999999", "2024-03-02", "2023-01-01",
]  # fmt: skip
ZONES = ["", "Z", "+02:00", "-05:30", "+00:00"]


@pytest.mark.parametrize("kind", ["DATETIME", "TIMESTAMPTZ"])
@pytest.mark.parametrize("declared", ["{}", "TEXT"])
def test_times_are_compared_as_times_however_they_are_written(tmp_path, kind, declared):
    path = write(tmp_path / "times.db", f"CREATE TABLE t (n INTEGER PRIMARY KEY, at {declared.format(kind)})",
                 "CREATE INDEX by_at ON t (at)")  # fmt: skip
    zones = ZONES if kind == "TIMESTAMPTZ" else [""]
    texts = [time + zone for time in TIMES for zone in zones if ":" in time or not zone]
    write(path, *[("INSERT INTO t VALUES (?, ?)", (n, text)) for n, text in enumerate([*texts, None])])
    source = opened(path)
    wanted: ColumnType = "TIMESTAMP" if kind == "TIMESTAMPTZ" else "DATETIME"
    schema = replace(source.schema("t"), columns=(Column("n", "INT64"), Column("at", wanted)))

    def moment(text):
        value = dt.datetime.fromisoformat(text)
        return value if value.tzinfo is None else value.astimezone(dt.UTC).replace(tzinfo=None)

    moments = [moment(text) for text in texts]
    for low in sorted(set(moments)):
        expected = [n for n, value in enumerate(moments) if value >= low] + [len(texts)]
        for zone in (None, dt.UTC):
            since = Since("at", json.dumps(low.replace(tzinfo=zone).isoformat()))
            assert sorted(row["n"] for row in rows(source, schema, Part(since))) == expected
            # Also where the column itself is not wanted.
            alone = replace(schema, columns=(Column("n", "INT64"),))
            if declared == "{}":
                assert sorted(row["n"] for row in rows(source, alone, Part(since))) == expected


@pytest.mark.parametrize("declared", ["INT", "TEXT", "", "REAL", "NUMERIC", "whatever"])
@pytest.mark.parametrize("wanted", ["INT64", "FLOAT64", "NUMERIC"])
def test_numbers_are_compared_as_numbers_and_others_are_rejects(tmp_path, declared, wanted):
    path = write(tmp_path / "numbers.db", f"CREATE TABLE t (n INTEGER PRIMARY KEY, x {declared})")
    values = [None, 5, 10, 9, -1, "100", "text", b"blob"]
    write(path, *[("INSERT INTO t VALUES (?, ?)", (n, value)) for n, value in enumerate(values)])
    source = opened(path)
    schema = replace(source.schema("t"), columns=(Column("n", "INT64"), Column("x", wanted)))
    refused: list = []
    low = json.dumps("9") if wanted == "NUMERIC" else "9"
    found = rows(source, schema, Part(Since("x", low)), refused.append)
    assert sorted(row["n"] for row in found) == [0, 2, 3, 5]
    assert sorted(json.loads(item.row)["n"] for item in refused) == [6, 7]


@pytest.mark.parametrize("declared", ["TEXT", "TEXT COLLATE NOCASE", "VARCHAR(9)", "", "whatever"])
def test_texts_are_compared_byte_by_byte(tmp_path, declared):
    path = write(tmp_path / "texts.db", f"CREATE TABLE t (n INTEGER PRIMARY KEY, x {declared})")
    values = [None, "", "A", "B", "a", "b", "Ä", "😀", 7, b"blob"]
    write(path, *[("INSERT INTO t VALUES (?, ?)", (n, value)) for n, value in enumerate(values)])
    source = opened(path)
    schema = source.schema("t")
    refused: list = []
    found = rows(source, schema, Part(Since("x", json.dumps("B"))), refused.append)
    assert sorted(row["n"] for row in found) == [0, 3, 4, 5, 6, 7]
    assert [json.loads(item.row)["n"] for item in refused] == [9]


def test_a_bound_that_is_none_is_an_error(tmp_path):
    path = write(tmp_path / "t.db", "CREATE TABLE t (x INT)")
    source = opened(path)
    with pytest.raises(SourceError, match="is no INT64"):
        source.read(source.schema("t"), Part(Since("x", json.dumps("abc"))))
    with pytest.raises(SourceError):
        source.read(replace(source.schema("t"), columns=(Column("x", "DATE"),)), Part(Since("x", json.dumps("abc"))))


VALUES = st.none() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.binary(max_size=30) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=30
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(VALUES, VALUES), max_size=40), st.sampled_from(sorted(FITS)))
def test_no_row_is_lost_and_no_value_is_made_null(tmp_path, values, wanted):
    path = tmp_path / "any.db"
    path.unlink(missing_ok=True)
    write(path, "CREATE TABLE t (n INTEGER PRIMARY KEY, x, y)",
          *[("INSERT INTO t VALUES (?, ?, ?)", (n, *row)) for n, row in enumerate(values)])  # fmt: skip
    source = opened(path)
    schema = replace(source.schema("t"), columns=(Column("n", "INT64"), Column("x", wanted), Column("y", wanted)))
    refused: list = []
    table = source.read(schema, on_reject=refused.append).read_all()
    kept = table["n"].to_pylist()
    assert sorted(kept + [json.loads(item.row)["n"] for item in refused]) == list(range(len(values)))
    for place, name in enumerate("xy"):
        nulls = [n for n, null in zip(kept, table[name].is_null().to_pylist(), strict=True) if null]
        assert nulls == [n for n in kept if values[n][place] is None]


def test_batches_grow_but_hold_no_more_than_agreed(tmp_path):
    path = write(
        tmp_path / "big.db",
        "CREATE TABLE t (a INT, b TEXT, c BLOB)",
        "WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 150000) INSERT INTO t SELECT i, NULL, NULL FROM n",
        "CREATE TABLE wide (c BLOB)",
        "WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300) INSERT INTO wide SELECT zeroblob(200000) FROM n",
    )
    source = opened(path)
    sizes = [batch.num_rows for batch in source.read(source.schema("t"))]
    assert sum(sizes) == 150_000
    assert max(sizes) <= source.BATCH_ROWS
    assert max(sizes) > 10_000
    assert max(batch.nbytes for batch in source.read(source.schema("wide"))) < 20_000_000
    assert pa.types.is_binary(source.read(source.schema("wide")).schema.field("c").type)
