"""Every type of MariaDB, value by value against what the server itself writes."""

import datetime as dt
import json
import math
import struct
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b2brecs.errors import LoadError, SourceError
from b2brecs.sources import mysql_session
from b2brecs.types import Column
from tests.sources.mysql_server import beside, database, opened, quoted, rows, run

# Column → its type, the warehouse's type, and its values as SQL; NULL is added to each.
INTEGERS = ("-1", "0", "1", "42")
TYPES: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "i8": ("tinyint", "INT64", ("-128", "127", *INTEGERS)),
    "u8": ("tinyint unsigned", "INT64", ("0", "255")),
    "b1": ("tinyint(1)", "INT64", ("0", "1", "2", "-1", "127")),
    "bo": ("boolean", "INT64", ("TRUE", "FALSE")),
    "i16": ("smallint", "INT64", ("-32768", "32767")),
    "i24": ("mediumint", "INT64", ("-8388608", "8388607")),
    "u24": ("mediumint unsigned", "INT64", ("16777215",)),
    "i32": ("int", "INT64", ("-2147483648", "2147483647")),
    "u32": ("int unsigned", "INT64", ("4294967295",)),
    "zf": ("int(8) zerofill", "INT64", ("0", "42", "123456789")),
    "i64": ("bigint", "INT64", ("-9223372036854775808", "9223372036854775807", "9007199254740993")),
    "u64": ("bigint unsigned", "NUMERIC", ("0", "18446744073709551615", "9223372036854775808")),
    "ye": ("year", "INT64", ("0", "1901", "2024", "2155")),
    "dec": ("decimal(12,2)", "NUMERIC", ("12345678.90", "-0.01", "0.10", "9999999999.99")),
    "dzf": ("decimal(10,2) zerofill", "NUMERIC", ("12.30",)),
    "d38": ("decimal(38,9)", "NUMERIC", ("12345678901234567890123456789.123456789", "-" + "9" * 29 + "." + "9" * 9)),
    "d37": ("decimal(37,9)", "NUMERIC", ("1.000000001",)),
    "dbig": ("decimal(38,19)", "BIGNUMERIC", ("9" * 19 + "." + "9" * 19, "-0.0000000000000000001")),
    "dtxt": ("decimal(65,30)", "STRING", ("9" * 35 + "." + "9" * 30, "0.000000000000000000000000000001", "-1")),
    "d30": ("decimal(30,0)", "STRING", ("9" * 30,)),
    "fl": ("float", "FLOAT64", ("0.1", "16777216", "16777217", "3.4028234e38", "1.4e-45", "-1.5", "1e10", "123456.7")),
    "fl2": ("float(7,3)", "FLOAT64", ("0.1", "1234.567")),
    "do": ("double", "FLOAT64", ("0.1", "1e308", "2.2250738585072014e-308", "5e-324", "0.30000000000000004", "1e22")),
    "do2": ("double(10,4)", "FLOAT64", ("0.1", "1.2345")),
    "da": ("date", "DATE", ("'2024-02-29'", "'0001-01-01'", "'9999-12-31'", "'1969-12-31'")),
    "dt0": ("datetime", "DATETIME", ("'2024-02-29 23:59:59'", "'0001-01-01'", "'9999-12-31 23:59:59'")),
    "dt3": ("datetime(3)", "DATETIME", ("'2024-02-29 01:02:03.004'",)),
    "dt6": ("datetime(6)", "DATETIME", ("'2024-02-29 01:02:03.000001'", "'9999-12-31 23:59:59.999999'")),
    "ts": ("timestamp NULL", "TIMESTAMP", ("'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'2024-03-31 01:30:00'")),
    "ts6": ("timestamp(6) NULL", "TIMESTAMP", ("'2024-10-27 00:59:59.999999'",)),
    "ti": ("time", "STRING", ("'23:59:59'", "'838:59:59'", "'-838:59:59'", "'00:00:00'", "'-00:00:01'")),
    "ti6": ("time(6)", "STRING", ("'01:02:03.000004'",)),
    "ch": ("char(5)", "STRING", ("'a'", "''", "'00123'", "' x'")),
    "vc": ("varchar(80)", "STRING", ("''", "'é😀中'", "'NULL'", "'\\\\N'", "'a\\nb\\t\\0c'", "'it''s \"x\" `y`'", "'tail  '")),
    "l1": ("varchar(20) CHARACTER SET latin1", "STRING", ("'é€ß'", "''")),
    "cp": ("varchar(20) CHARACTER SET cp1251", "STRING", ("'Привет'",)),
    "u2": ("varchar(20) CHARACTER SET ucs2", "STRING", ("'中文'",)),
    "u3": ("varchar(20) CHARACTER SET utf8mb3", "STRING", ("'é中'",)),
    "tx": ("text", "STRING", ("''", "REPEAT('é', 30000)", "REPEAT('x', 250)", "REPEAT('x', 251)", "REPEAT('x', 252)",
                              "REPEAT('x', 255)", "REPEAT('x', 256)", "REPEAT('x', 65535)")),
    "mt": ("mediumtext", "STRING", ("REPEAT('😀', 300000)", "REPEAT('y', 65536)")),
    "tt": ("tinytext", "STRING", ("'tiny'",)),
    "lt": ("longtext", "STRING", ("'long'", "'{}'")),
    "js": ("json", "JSON", ("'{\"b\": 1.10, \"a\": 2, \"a\" :3 }'", "'null'", "'[]'", "'\"😀\"'", "'1e400'")),
    "en": ("enum('a','b''c','😀')", "STRING", ("'a'", "'b''c'", "'nope'")),
    "se": ("set('a','b','c')", "STRING", ("'a,c'", "''")),
    "bi": ("binary(4)", "BYTES", ("X'00FF'", "'ab'")),
    "vb": ("varbinary(300)", "BYTES", ("''", "X'00'", "X'FF80'", "REPEAT(X'FB', 260)", "REPEAT(X'FE', 255)")),
    "bl": ("blob", "BYTES", ("X'F09F98'", "''", "REPEAT(X'00', 65535)")),
    "mb": ("mediumblob", "BYTES", ("REPEAT(X'FF', 70000)",)),
    "bt1": ("bit(1)", "INT64", ("b'0'", "b'1'")),
    "bt10": ("bit(10)", "INT64", ("b'1000000001'",)),
    "bt63": ("bit(63)", "INT64", ("9223372036854775807",)),
    "bt64": ("bit(64)", "NUMERIC", ("18446744073709551615", "0")),
    "ge": ("geometry", "STRING", ("ST_GeomFromText('POINT(0.1 0.30000000000000004)')",
                                  "ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')")),
    "po": ("point", "STRING", ("POINT(1, -2)",)),
    "i4": ("inet4", "STRING", ("'10.0.0.1'",)),
    "in6": ("inet6", "STRING", ("'::1'", "'2001:db8::ff00:42:8329'")),
    "uu": ("uuid", "STRING", ("'123e4567-e89b-12d3-a456-426655440000'",)),
    "gen": ("int GENERATED ALWAYS AS (length(tx)) VIRTUAL", "INT64", ()),
    "sto": ("varchar(20) GENERATED ALWAYS AS (upper(l1)) STORED", "STRING", ()),
    "inv": ("int INVISIBLE", "INT64", ("7",)),
}  # fmt: skip
WRITTEN = [name for name in TYPES if TYPES[name][2]]
# How the server itself writes what is not its plain text.
ASKED = {"ge": "ST_AsText(`ge`)", "po": "ST_AsText(`po`)", "bt1": "`bt1` + 0", "bt10": "`bt10` + 0",
         "bt63": "`bt63` + 0", "bt64": "`bt64` + 0", "fl": "CAST(`fl` AS DOUBLE)", "fl2": "CAST(`fl2` AS DOUBLE)"}  # fmt: skip


@pytest.fixture(scope="module")
def every(mariadb):
    with database(mariadb, "every") as server:
        columns = ", ".join(f"`{name}` {kind}" for name, (kind, _, _) in TYPES.items())
        run(server, f"CREATE TABLE every (id int PRIMARY KEY, {columns}) ROW_FORMAT=DYNAMIC")
        length = max(len(values) for _, _, values in TYPES.values())
        for number in range(length + 1):
            values = [
                TYPES[name][2][number] if number < len(TYPES[name][2]) else "NULL" for name in WRITTEN
            ]  # fmt: skip
            names = ", ".join(f"`{name}`" for name in WRITTEN)
            run(server, f"INSERT INTO every (id, {names}) VALUES ({number}, {', '.join(values)})")
        yield server


def server_texts(server, name):
    with closing(beside(server, use_unicode=False)) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION time_zone = '+00:00'")
        cursor.execute(f"SELECT {ASKED.get(name, quoted(name))} FROM every ORDER BY id")
        return [row[0] if row[0] is None or isinstance(row[0], bytes) else str(row[0]).encode() for row in cursor]


def same(kind, name, value, text):
    if text is None:
        return value is None
    if kind == "BYTES":
        return value == text
    text = text.decode()
    if name in ("fl", "fl2"):
        # The same float of 32 bits, as short as can be.
        single = struct.unpack("f", struct.pack("f", float(text)))[0]
        return struct.pack("f", value) == struct.pack("f", single) and len(repr(value)) <= 16
    match kind:
        case "INT64":
            return value == int(text)
        case "NUMERIC" | "BIGNUMERIC":
            return isinstance(value, Decimal) and value == Decimal(text)
        case "FLOAT64":
            return value == float(text) and math.copysign(1, value) == math.copysign(1, float(text))
        case "DATE":
            return value == dt.date.fromisoformat(text)
        case "DATETIME":
            return value == dt.datetime.fromisoformat(text)
        case "TIMESTAMP":
            return value == dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)
    return value == text


def test_types_are_the_warehouses(every):
    schema = opened(every).schema("every")
    assert {c.name: c.type for c in schema if c.name != "id"} == {name: TYPES[name][1] for name in TYPES}


def test_each_value_is_what_the_server_writes(every):
    source = opened(every)
    schema = source.schema("every")
    found = sorted(rows(source, schema), key=lambda row: row["id"])
    for name, (_, kind, values) in TYPES.items():
        texts = server_texts(every, name)
        assert sum(text is not None for text in texts) >= len(values)
        for row, text in zip(found, texts, strict=True):
            assert same(kind, name, row[name], text), (name, row[name], text)


def test_each_value_is_the_same_without_what_pymysql_receives_through(every, monkeypatch):
    source = opened(every)
    schema = source.schema("every")
    fast = source.read(schema).read_all()
    taken = []

    def one_by_one(*arguments):
        taken.append(arguments)
        return real(*arguments)

    real = mysql_session._one_by_one
    monkeypatch.setattr(mysql_session, "_one_by_one", one_by_one)
    monkeypatch.setattr(mysql_session, "io", SimpleNamespace(BufferedReader=str))
    assert source.read(schema).read_all().equals(fast)
    assert taken


def test_each_column_as_string_is_the_servers_text(every):
    source = opened(every)
    schema = source.schema("every")
    binary = {name for name, (_, kind, _) in TYPES.items() if kind == "BYTES"}
    wanted = replace(schema, columns=tuple(Column(name, "STRING") for name in TYPES if name not in binary))
    found = source.read(wanted).read_all()
    assert {str(field.type) for field in found.schema} == {"string"}
    for name in wanted.names:
        texts = [None if text is None else text.decode() for text in server_texts(every, name)]
        if name not in ("fl", "fl2"):
            assert found[name].to_pylist() == texts, name
    assert found["fl"].to_pylist()[:2] == ["0.1", "16777216"]


def test_arrow_types_are_exact_before_the_loader_casts(every):
    source = opened(every)
    kinds = {field.name: str(field.type) for field in source.read(source.schema("every")).schema}
    assert kinds["i8"] == kinds["i64"] == kinds["ye"] == kinds["bt63"] == "int64"
    assert kinds["dec"] == kinds["u64"] == kinds["bt64"] == "decimal128(38, 9)"
    assert kinds["dbig"] == "decimal256(76, 38)"
    assert (kinds["fl"], kinds["do"], kinds["da"]) == ("double", "double", "date32[day]")
    assert (kinds["dt6"], kinds["ts"]) == ("timestamp[us]", "timestamp[us, tz=UTC]")
    assert (kinds["vc"], kinds["js"], kinds["bl"]) == ("string", "string", "binary")


def test_the_session_of_others_does_not_shift_times(mariadb, every):
    run(mariadb, "SET GLOBAL time_zone = '+05:30'")
    try:
        source = opened(every)
        schema = source.schema("every")
        assert rows(source, schema)[0]["ts"] == dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)
    finally:
        run(mariadb, "SET GLOBAL time_zone = '+00:00'")


def test_a_truth_value_is_only_read_where_asked_for_and_never_made(every):
    source = opened(every)
    schema = source.schema("every")
    truths = replace(schema, columns=(schema.column("id"), Column("b1", "BOOL")))
    refused: list = []
    assert [row["b1"] for row in rows(source, truths, on_reject=refused.append) if row["b1"] is not None] == [
        False,
        True,
    ]
    assert sorted(json.loads(item.row)["b1"] for item in refused) == ["-1", "127", "2"]
    with pytest.raises(LoadError, match="cannot be BOOL"):
        rows(source, truths)


def test_other_types_may_be_asked_for(every):
    source = opened(every)
    schema = source.schema("every")

    def as_type(name, kind):
        return [row[name] for row in rows(source, replace(schema, columns=(Column(name, kind),)))]

    assert as_type("i8", "NUMERIC")[0] == Decimal(-128)
    assert as_type("dec", "FLOAT64")[0] == 12345678.9
    assert as_type("da", "DATETIME")[0] == dt.datetime(2024, 2, 29)
    assert as_type("dt6", "TIMESTAMP")[0] == dt.datetime(2024, 2, 29, 1, 2, 3, 1, dt.UTC)
    assert as_type("ti6", "TIME")[0] == dt.time(1, 2, 3, 4)
    assert as_type("lt", "JSON")[1] == "{}"
    assert as_type("bt1", "BOOL")[:2] == [False, True]
    assert as_type("vc", "BYTES")[1] == "é😀中".encode()


WRONG_DATES = [
    ("date", "0000-00-00"), ("date", "2024-00-10"), ("date", "2024-02-31"), ("datetime", "0000-00-00 00:00:00"),
    ("datetime(6)", "2024-01-00 10:00:00.000000"), ("timestamp", "0000-00-00 00:00:00"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text"), WRONG_DATES)
def test_dates_that_do_not_exist_are_rejects_never_null(every, kind, text):
    run(every, "SET SESSION sql_mode = 'ALLOW_INVALID_DATES'", f"CREATE TABLE wrong (id int, x {kind} NULL)",
        f"INSERT INTO wrong VALUES (1, '2024-01-01'), (2, '{text}'), (3, NULL), (4, '2024-01-02')")  # fmt: skip
    try:
        source = opened(every)
        schema = source.schema("wrong")
        refused: list = []
        kept = source.read(schema, on_reject=refused.append).read_all()
        assert kept["id"].to_pylist() == [1, 3, 4]
        assert [(json.loads(item.row), item.column) for item in refused] == [({"id": "2", "x": text}, "x")]
        assert text in refused[0].reason
        with pytest.raises(SourceError, match=r"column 'x' .* Say types=\{'x': 'STRING'\}"):
            source.read(schema).read_all()
        as_text = replace(schema, columns=(schema.column("id"), Column("x", "STRING")))
        assert source.read(as_text).read_all()["x"].to_pylist()[1] == text
    finally:
        run(every, "DROP TABLE wrong")


def test_many_rejects_among_many_rows_are_all_found(every):
    run(every, "CREATE TABLE many (id int, x date, y datetime)",
        "INSERT INTO many SELECT seq, IF(seq % 1000 = 0, '0000-00-00', '2024-01-01'), "
        "IF(seq % 1500 = 0, '0000-00-00', '2024-01-01') FROM seq_1_to_30000")  # fmt: skip
    source = opened(every)
    refused: list = []
    kept = source.read(source.schema("many"), on_reject=refused.append).read_all()
    assert sorted(int(json.loads(item.row)["id"]) for item in refused) == [
        number for number in range(1, 30_001) if number % 1000 == 0 or number % 1500 == 0
    ]
    assert kept.num_rows + len(refused) == 30_000
    assert kept["x"].null_count == kept["y"].null_count == 0


def test_bytes_that_are_no_text_are_rejects_where_text_is_wanted(every):
    source = opened(every)
    schema = source.schema("every")
    refused: list = []
    wanted = replace(schema, columns=(Column("vb", "STRING"),))
    kept = source.read(wanted, on_reject=refused.append).read_all()
    assert kept["vb"].to_pylist()[:2] == ["", "\0"]
    assert [item.column for item in refused] == ["vb"] * 3
    with pytest.raises(SourceError, match="'BYTES'"):
        source.read(wanted).read_all()


LETTERS = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.none() | LETTERS,
            st.none() | st.binary(max_size=600),
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**20), max_value=10**20),
            st.none() | st.floats(allow_nan=False, allow_infinity=False),
            st.none() | st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)),
        ),
        max_size=12,
    )
)  # fmt: skip
def test_any_values_come_back(every, values):
    with closing(beside(every, conv=None)) as connection, connection.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TABLE anything (id int, t text, b blob, i bigint, n decimal(38,9), d double, "
                       "m datetime(6))")  # fmt: skip
        for number, row in enumerate(values):
            cursor.execute("INSERT INTO anything VALUES (%s, %s, %s, %s, %s, %s, %s)", (number, *row))
    source = opened(every)
    found = rows(source, source.schema("anything"))
    assert [tuple(row.values())[1:] for row in sorted(found, key=lambda row: row["id"])] == values


def test_rows_and_values_longer_than_a_packet_come_whole(mariadb, every):
    """A packet has 16 MB less one; longer rows are several."""
    edge = 2**24 - 1
    run(mariadb, f"SET GLOBAL max_allowed_packet = {64 * 2**20}")
    try:
        with closing(beside(every)) as connection, connection.cursor() as cursor:
            cursor.execute("CREATE TABLE huge (id int PRIMARY KEY, a longblob, b longtext)")
            # The row's first packet is full to the byte, or the next begins with what looks like its end.
            cursor.execute("INSERT INTO huge VALUES (100, NULL, REPEAT('é', 10000000))")
            for number, size in enumerate([0, edge - 7, edge - 6, edge - 5, edge - 4, 2 * edge - 8, 20_000_000]):
                cursor.execute(f"INSERT INTO huge VALUES ({number}, REPEAT(X'FE', {size}), 'after')")
        source = opened(every)
        found = [row for batch in source.read(source.schema("huge")) for row in batch.to_pylist()]
        sizes = {int(n): (a, b) for n, a, b in run(every, "SELECT id, LENGTH(a), CHAR_LENGTH(b) FROM huge")}
        assert sorted(row["id"] for row in found) == sorted(sizes)
        for row in found:
            length, letters = sizes[row["id"]]
            assert row["a"] == (None if length is None else b"\xfe" * int(length))
            assert row["b"] == ("after" if length is not None else "é" * int(letters))
    finally:
        run(mariadb, "SET GLOBAL max_allowed_packet = DEFAULT", "DROP TABLE IF EXISTS every.huge")


def test_json_that_is_only_text_stays_text(every):
    run(every, "CREATE TABLE texts (a longtext COMMENT 'CHECK (json_valid(`a`))', b longtext CHECK (json_valid(`b`)), "
               "c longtext CHECK (length(`c`) > 1), `d``e` json, f text CHECK (json_valid(`f`)))")  # fmt: skip
    assert [c.type for c in opened(every).schema("texts")] == ["STRING", "JSON", "STRING", "JSON", "STRING"]


def test_batches_hold_no_more_rows_than_agreed(every):
    run(every, "CREATE TABLE narrow (a tinyint)", "INSERT INTO narrow SELECT 1 FROM seq_1_to_200000")
    source = opened(every)
    sizes = [batch.num_rows for batch in source.read(source.schema("narrow"))]
    assert sum(sizes) == 200_000
    assert max(sizes) <= source.BATCH_ROWS
