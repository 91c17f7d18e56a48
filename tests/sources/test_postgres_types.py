"""PostgreSQL: every type, value by value against what the server itself says of it."""

import json
from decimal import Decimal

import pyarrow as pa
import pytest

from b2brecs.errors import SourceError
from b2brecs.sources.postgres_arrow import BEYOND, NESTED
from b2brecs.types import Column
from tests.sources.postgres_tools import database, execute, opened, quoted


@pytest.fixture(scope="module")
def server(postgres):
    with database(
        postgres, "types",
        "CREATE EXTENSION hstore", "CREATE EXTENSION citext", "CREATE SCHEMA other",
        """CREATE TYPE other."mood ""x" AS ENUM ('sad', 'it''s', '"quoted"')""",
        "CREATE TYPE pair AS (a int, b text)",
        "CREATE DOMAIN price AS numeric(10, 2) CHECK (value > -100)",
        "CREATE DOMAIN dear AS price", "CREATE DOMAIN small AS int2", "CREATE DOMAIN list AS int4[]",
        # An own type by the name of a built-in one.
        "CREATE TYPE other.date AS ENUM ('today')",
    ) as made:  # fmt: skip
        yield made


TEXT = "{}::text"
SHOWN = "CASE WHEN {} IS NULL THEN NULL ELSE format('%s', {}) END"
# Whatever is infinite is Arrow's extreme value.
DAYS = "CASE {} WHEN 'infinity' THEN 2147483647 WHEN '-infinity' THEN -2147483647 ELSE {} - date '1970-01-01' END::text"
MICROS = (
    "CASE {} WHEN 'infinity' THEN 9223372036854775807 WHEN '-infinity' THEN -9223372036854775807 "
    "ELSE trunc(extract(epoch FROM {}) * 1000000)::int8 END::text"
)
NUMERIC_EDGES = ["0", "-0.01", "1.10", "99999999.99", "'NaN'"]
# Type → how the warehouse sees it, what the server is asked, values.
SCALARS: dict[str, tuple[str, str, list[str]]] = {
    "int2": ("INT64", TEXT, ["0", "-32768", "32767"]),
    "int4": ("INT64", TEXT, ["0", "-2147483648", "2147483647"]),
    "int8": ("INT64", TEXT, ["0", "-9223372036854775808", "9223372036854775807"]),
    "small": ("INT64", TEXT, ["7"]),
    "oid": ("INT64", TEXT, ["0", "4294967295"]),
    "float8": ("FLOAT64", TEXT, ["0.1", "-0.0", "1e308", "5e-324", "'NaN'", "'inf'", "'-inf'", "16777217"]),
    "float4": ("FLOAT64", TEXT, ["0.1", "19.99", "'NaN'", "'inf'", "3.4e38", "1e-45"]),
    "bool": ("BOOL", TEXT, ["true", "false"]),
    "numeric(10,2)": ("NUMERIC", TEXT, NUMERIC_EDGES),
    "numeric(38,9)": ("NUMERIC", TEXT, ["12345678901234567890123456789.123456789", "-0.000000001"]),
    "numeric(29,0)": ("NUMERIC", TEXT, ["99999999999999999999999999999"]),
    "numeric(3,5)": ("NUMERIC", TEXT, ["0.00999", "-0.00001"]),
    "numeric(5,-2)": ("NUMERIC", TEXT, ["1234500", "-100"]),
    "numeric(38,19)": ("BIGNUMERIC", TEXT, ["1234567890123456789.1234567890123456789"]),
    "numeric(19,10)": ("BIGNUMERIC", TEXT, ["123456789.0123456789"]),
    "numeric(30,0)": ("STRING", TEXT, ["123456789012345678901234567890"]),
    "numeric(40,20)": ("STRING", TEXT, ["12345678901234567890.12345678901234567890"]),
    "numeric": ("STRING", TEXT, ["1e30", "1.10", "0.000", "'NaN'", "'Infinity'", "'-Infinity'", "1e-40", "-1e1000"]),
    "price": ("NUMERIC", TEXT, ["1.20", "-99.99"]),
    "dear": ("NUMERIC", TEXT, ["1.20"]),
    "money": ("NUMERIC", "{}::numeric::text", ["'$1,234.50'", "-0.01", "92233720368547758.07"]),
    "text": ("STRING", TEXT, ["''", "'ü👍'", "E'a\\nb\\t\\\\'", "'NULL'", "repeat('x', 100000)"]),
    "varchar(20)": ("STRING", TEXT, ["''", "'  padded '", "'00123'"]),
    "char(5)": ("STRING", SHOWN, ["''", "'ab'", "'ü'"]),
    '"char"': ("STRING", TEXT, ["'a'", "''"]),
    "name": ("STRING", TEXT, ["'pg_class'"]),
    "citext": ("STRING", TEXT, ["'aB'"]),
    "json": ("STRING", TEXT, ["""'{"a":1, "a": 2,"b":1.10}'""", "'null'", "' [1 ,2]'", "'\"text\"'"]),
    "jsonb": ("JSON", TEXT, ["""'{"a":1, "a": 2,"b":1.10}'""", "'null'", "'1e3'"]),
    "bytea": ("BYTES", "encode({}, 'hex')", ["''", "'\\x00ff'", "'\\x5c27'"]),
    "uuid": ("STRING", TEXT, ["'00000000-0000-0000-0000-00000000000A'"]),
    "inet": ("STRING", SHOWN, ["'::1'", "'192.168.0.1'", "'192.168.0.1/24'", "'2001:db8::/32'"]),
    "cidr": ("STRING", TEXT, ["'192.168.0.0/24'", "'10.0.0.1'"]),
    "macaddr": ("STRING", TEXT, ["'08:00:2b:01:02:03'"]),
    "interval": ("STRING", TEXT, ["'1 year 2 mons -3 days 04:05:06.789'", "'0'", "'-178000000 years'"]),
    "date": ("DATE", DAYS, ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'0001-01-01'", "'2024-02-29'",
                            "'9999-12-31'", "'5874897-12-31'"]),
    "timestamp": ("DATETIME", MICROS, ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'4714-11-24 BC'",
                                       "'0001-01-01'", "'1969-12-31 23:59:59.999999'", "'9999-12-31 23:59:59.999999'",
                                       "'294246-12-31 23:59:59.999999'"]),
    "timestamptz": ("TIMESTAMP", MICROS, ["'infinity'", "'-infinity'", "'4713-01-01 BC'", "'2024-03-31 02:30+02'",
                                          "'2024-10-27 02:30+01'", "'9999-12-31 23:59:59.999999Z'"]),
    "timestamptz(3)": ("TIMESTAMP", MICROS, ["'2024-03-31 02:30:00.123456+02'"]),
    "time": ("TIME", "(extract(epoch FROM {}) * 1000000)::int8::text", ["'00:00'", "'23:59:59.999999'", "'24:00'"]),
    "timetz": ("STRING", TEXT, ["'12:00+05:30'", "'24:00-08'"]),
    'other."mood ""x"': ("STRING", TEXT, ["'sad'", "'it''s'", "'\"quoted\"'"]),
    "other.date": ("STRING", TEXT, ["'today'"]),
    "pair": ("STRING", TEXT, ["ROW(1, 'x,\"y')", "ROW(NULL, NULL)"]),
    "int4range": ("STRING", TEXT, ["'[1,5)'", "'empty'", "'(,)'"]),
    "tstzrange": ("STRING", "{}::text", ["'[2024-01-01 00:00+02, infinity)'"]),
    "int4multirange": ("STRING", TEXT, ["'{[1,3),[5,9)}'"]),
    "tsvector": ("STRING", TEXT, ["to_tsvector('simple', 'a b it''s')"]),
    "bit(3)": ("STRING", TEXT, ["B'101'"]),
    "varbit": ("STRING", TEXT, ["B''", "B'0001'"]),
    "xml": ("STRING", TEXT, ["'<a b=\"1\">x</a>'"]),
    "hstore": ("STRING", TEXT, ["'a=>1, \"b c\"=>NULL'"]),
    "point": ("STRING", TEXT, ["'(0.1,-2)'"]),
    "polygon": ("STRING", TEXT, ["'((0,0),(1,1),(2,0))'"]),
    "box[]": ("STRING", TEXT, ["'{(1,1),(0,0);(3,3),(2,2)}'"]),
    "pg_lsn": ("STRING", TEXT, ["'16/B374D848'"]),
    "regclass": ("STRING", TEXT, ["'pg_class'"]),
    "int2vector": ("STRING", TEXT, ["'1 2 3'"]),
    "jsonpath": ("STRING", TEXT, ["'$.a[*]'"]),
}  # fmt: skip


ARRAYS: dict[str, tuple[str, list[str], list]] = {
    "text[]": ("ARRAY<STRING>", ["'{}'", "'{a,NULL,\"\",\"NULL\",\"x y\",ü}'"], [[], ["a", None, "", "NULL", "x y", "ü"]]),
    "varchar(3)[]": ("ARRAY<STRING>", ["'{abc}'"], [["abc"]]),
    "char(3)[]": ("ARRAY<STRING>", ["'{a}'"], [["a  "]]),
    "int2[]": ("ARRAY<INT64>", ["'{1,NULL,-2}'"], [[1, None, -2]]),
    "int4[]": ("ARRAY<INT64>", ["'{}'", "'[0:1]={1,2}'"], [[], [1, 2]]),
    "int8[]": ("ARRAY<INT64>", ["'{9223372036854775807}'"], [[9223372036854775807]]),
    "oid[]": ("ARRAY<INT64>", ["'{4294967295}'"], [[4294967295]]),
    "small[]": ("ARRAY<INT64>", ["'{1,2}'"], [[1, 2]]),
    "list": ("ARRAY<INT64>", ["'{1,2}'"], [[1, 2]]),
    "float4[]": ("ARRAY<FLOAT64>", ["'{0.1,NULL}'"], [[0.1, None]]),
    "float8[]": ("ARRAY<FLOAT64>", ["'{0.1,inf}'"], [[0.1, float("inf")]]),
    "bool[]": ("ARRAY<BOOL>", ["'{t,f,NULL}'"], [[True, False, None]]),
    "numeric[]": ("ARRAY<STRING>", ["'{1.10,NaN,NULL}'"], [["1.10", "NaN", None]]),
    "uuid[]": ("ARRAY<STRING>", ["'{00000000-0000-0000-0000-00000000000A}'"], [["00000000-0000-0000-0000-00000000000a"]]),
    "inet[]": ("ARRAY<STRING>", ["'{::1,10.0.0.0/8}'"], [["::1", "10.0.0.0/8"]]),
    "jsonb[]": ("ARRAY<STRING>", ["""'{"{\\"a\\": [1, 2]}"}'"""], [['{"a": [1, 2]}']]),
    "timestamp[]": ("ARRAY<STRING>", ["'{2024-01-01 10:00}'"], [["2024-01-01 10:00:00"]]),
    'other."mood ""x"[]': ("ARRAY<STRING>", ["""'{sad,it''s,"\\"quoted\\""}'"""], [["sad", "it's", '"quoted"']]),
    "price[]": ("ARRAY<STRING>", ["'{1.20}'"], [["1.20"]]),
    "pair[]": ("ARRAY<STRING>", ["ARRAY[ROW(1, 'a')]::pair[]"], [["(1,a)"]]),
}  # fmt: skip


@pytest.fixture(scope="module")
def wide(server):
    """One table of all types, a column each, with NULL below its values."""
    kinds = {**SCALARS, **ARRAYS}
    columns = [f"{quoted(kind)} {kind}" for kind in kinds]
    height = 1 + max(len(found[-1 if kind in SCALARS else 1]) for kind, found in kinds.items())
    rows = []
    for n in range(height):
        values = [found[-1 if kind in SCALARS else 1] for kind, found in kinds.items()]
        cells = [
            f"({given[n] if n < len(given) else 'NULL'})::{kind}" for given, kind in zip(values, kinds, strict=True)
        ]
        rows.append(f"INSERT INTO wide VALUES ({n}, {', '.join(cells)})")
    execute(server, f"CREATE TABLE wide (n int, {', '.join(columns)})", *rows)
    source = opened(server)
    return source.schema("wide"), source.read(source.schema("wide")).read_all()


def made(server, kind, values):
    """Make a table of one column; NULL is its last value. Return its source, its schema and its name."""
    name = f"of {kind}"[:60]
    table = quoted(name)
    rows = [f"INSERT INTO {table} VALUES ({n}, ({value})::{kind})" for n, value in enumerate([*values, "NULL"])]
    execute(server, f"DROP TABLE IF EXISTS {table}", f"CREATE TABLE {table} (n int, v {kind})", *rows)
    source = opened(server)
    return source, source.schema(name), name


def said(server, name, oracle, column="v"):
    """What the server says of the column."""
    query = f"SELECT {oracle.replace('{}', quoted(column))} FROM {quoted(name)} ORDER BY n"
    return [value for (value,) in execute(server, "SET TimeZone = 'UTC'", query)]


def as_text(array):
    """An Arrow column in the server's words, without a way through Python's narrower types."""
    kind = array.type
    if pa.types.is_boolean(kind):
        return [None if v is None else str(v).lower() for v in array.to_pylist()]
    if pa.types.is_date32(kind):
        array = array.view(pa.int32())
    elif pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        array = array.view(pa.int64())
    elif pa.types.is_binary(kind):
        return [None if v is None else v.hex() for v in array.to_pylist()]
    return [None if v is None else str(v) for v in array.to_pylist()]


@pytest.mark.parametrize("kind", SCALARS)
def test_values_arrive_as_the_server_has_them(server, wide, kind):
    expected, oracle, values = SCALARS[kind]
    schema, rows = wide
    assert schema.column(kind).type == expected
    assert rows["n"].to_pylist() == list(range(rows.num_rows))
    found = as_text(rows[kind].combine_chunks())
    told = said(server, "wide", oracle, kind)
    if expected == "FLOAT64":
        found, told = ([None if v is None else repr(float(v)) for v in texts] for texts in (found, told))
    assert found == told
    assert [value is None for value in found] == [n >= len(values) for n in range(rows.num_rows)]


@pytest.mark.parametrize("kind", ["numeric(38,9)", "numeric(5,-2)", "price", "money"])
def test_numerics_are_exact_decimals(server, wide, kind):
    found = wide[1][kind].cast(pa.decimal128(38, 9)).to_pylist()
    told = said(server, "wide", "{}::numeric::text", kind)
    assert found == [None if text is None else Decimal(text) for text in told]


@pytest.mark.parametrize("kind", ARRAYS)
def test_arrays_arrive_element_by_element(wide, kind):
    expected, values, elements = ARRAYS[kind]
    schema, rows = wide
    assert schema.column(kind).type == expected
    assert rows[kind].to_pylist() == elements + [None] * (rows.num_rows - len(values))


def test_infinite_times_in_arrays_are_extremes_too(server):
    source, schema, _ = made(server, "date[]", ["'{2024-01-01,NULL,infinity}'", "'{-infinity}'", "'{}'"])
    found = source.read(schema).read_all()["v"].cast(pa.list_(pa.int32())).to_pylist()
    assert found == [[19723, None, 2**31 - 1], [-(2**31) + 1], [], None]
    source, schema, _ = made(server, "timestamptz[]", ["'{2024-01-01Z,NULL,infinity}'", "'{-infinity,4713-01-01 BC}'"])
    found = source.read(schema).read_all()["v"].cast(pa.list_(pa.int64())).to_pylist()
    assert found == [[1704067200000000, None, 2**63 - 1], [-(2**63) + 1, -210863520000000000], None]


def test_what_is_wanted_as_text_is_what_the_server_writes(server):
    values = {
        "date": ["'infinity'", "'4713-01-01 BC'"], "timestamptz": ["'294270-01-01Z'", "'2024-03-31 02:30+02'"],
        "int4[]": ["'{{1,2},{3,4}}'", "'{}'"], "float4": ["0.1"], "bytea": ["'\\x00ff'"], "money": ["1.5"],
        "char(3)": ["'a'"], "bool": ["true"],
    }  # fmt: skip
    for kind, given in values.items():
        source, schema, name = made(server, kind, given)
        wanted = type(schema)(name, (Column("v", "STRING"),))
        oracle = SHOWN if kind == "char(3)" else TEXT
        assert source.read(wanted).read_all()["v"].to_pylist() == said(server, name, oracle), kind


NOWHERE = {
    "int4[]": (["'{1}'", "'{{1,2},{3,4}}'"], NESTED, "{{1,2},{3,4}}"),
    "text[]": (["'{a}'", "'{{a},{NULL}}'"], NESTED, "{{a},{NULL}}"),
    "uuid[]": (["'{}'", "'{{00000000-0000-0000-0000-000000000001}}'"], NESTED, "{{00000000-0000-0000-0000-000000000001}}"),
    "timestamptz": (["'2024-01-01'", "'294276-12-31 23:59:59.999999Z'"], BEYOND, "9224318015999999999 microseconds after 1970-01-01"),
    "timestamp": (["'2024-01-01'", "'294247-01-10 04:00:54.775808'"], BEYOND, "9223372036854775808 microseconds after 1970-01-01"),
    "timestamptz[]": (["'{2024-01-01}'", "'{NULL,294276-12-31 23:59:59.999999Z}'"], BEYOND, "9224318015999999999 microseconds after 1970-01-01"),
}  # fmt: skip


@pytest.mark.parametrize("kind", NOWHERE)
def test_what_has_no_place_is_rejected_and_never_changed(server, kind):
    values, reason, shown = NOWHERE[kind]
    source, schema, name = made(server, kind, values)
    rejects: list = []
    assert source.read(schema, on_reject=rejects.append).read_all()["n"].to_pylist() == [0, 2]
    assert [(r.column, r.reason, json.loads(r.row)) for r in rejects] == [("v", reason, {"n": 1, "v": shown})]
    with pytest.raises(SourceError, match=r"types=\{'v': 'STRING'\}"):
        source.read(schema).read_all()
    shown = source.preview(name, 10)
    assert shown["n"].to_pylist() == [0, 1, 2]
    assert shown["v"].to_pylist() == said(server, name, TEXT)


def test_the_last_time_that_arrow_holds_is_held(server):
    source, schema, _ = made(server, "timestamp", ["'294247-01-10 04:00:54.775806'"])
    assert source.read(schema).read_all()["v"].cast(pa.int64()).to_pylist() == [2**63 - 2, None]


def test_a_database_in_another_encoding_is_read_as_unicode(postgres):
    options = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    with database(
        postgres, "latin", 'CREATE TABLE "größe" (v text)', "INSERT INTO \"größe\" VALUES ('straße')", options=options
    ) as latin:
        source = opened(latin)
        assert source.preview("größe", 5).to_pylist() == [{"v": "straße"}]


def test_texts_do_not_depend_on_how_the_server_is_set_up(postgres):
    with database(
        postgres, "odd", "CREATE TABLE t AS SELECT tstzrange('2024-01-01Z', NULL) r, interval '1 day 2:00' i, 0.1::float8 + 0.2 f, ARRAY['\\x00'::bytea] b",
        "ALTER DATABASE odd SET TimeZone = 'Asia/Tokyo'", "ALTER DATABASE odd SET DateStyle = 'German'",
        "ALTER DATABASE odd SET IntervalStyle = 'iso_8601'", "ALTER DATABASE odd SET extra_float_digits = -5",
        "ALTER DATABASE odd SET bytea_output = 'escape'",
    ) as odd:  # fmt: skip
        assert opened(odd).preview("t", 1).to_pylist() == [
            {"r": '["2024-01-01 00:00:00+00",)', "i": "1 day 02:00:00", "f": 0.1 + 0.2, "b": ["\\x00"]}
        ]
