"""PostgreSQL, a real server: what is found, which relations are read, by which names, and in batches of which size."""

import datetime as dt
import gc
import json

import pyarrow as pa
import pytest
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from b2brecs.errors import NotFound, SourceError
from b2brecs.etl.cast import cast_batches
from b2brecs.sources import Part, Since
from b2brecs.types import Column, TableSchema
from tests.sources.postgres_tools import database, execute, opened, quoted


@pytest.fixture(scope="module")
def server(postgres):
    with database(
        postgres, "shop",
        "CREATE SCHEMA shop",
        '''CREATE TABLE shop.orders (
             id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code varchar(20) NOT NULL, price numeric(12, 2),
             twice numeric(12, 2) GENERATED ALWAYS AS (price * 2) STORED, at timestamptz, gone int, "odd ""name""" text)''',
        "ALTER TABLE shop.orders DROP COLUMN gone",
        '''INSERT INTO shop.orders (code, price, at, "odd ""name""") VALUES
             ('00123', 12345678.90, '2024-03-31 01:30:00+01', 'x'), ('', NULL, NULL, NULL)''',
        "CREATE TABLE shop.empty (id int)", "CREATE TABLE shop.nothing ()",
        "CREATE VIEW shop.seen AS SELECT id, code FROM shop.orders",
        "CREATE MATERIALIZED VIEW shop.kept AS SELECT id, code FROM shop.orders",
        "CREATE TABLE shop.split (id int, day date) PARTITION BY RANGE (day)",
        "CREATE TABLE shop.split_1 PARTITION OF shop.split FOR VALUES FROM ('2024-01-01') TO ('2024-07-01')",
        "CREATE TABLE shop.split_2 PARTITION OF shop.split FOR VALUES FROM ('2024-07-01') TO ('2025-01-01')",
        "INSERT INTO shop.split SELECT n, date '2024-01-01' + n FROM generate_series(0, 300) n",
        "CREATE EXTENSION postgres_fdw",
        f"CREATE SERVER far FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{postgres.host}', port '{postgres.port}', dbname 'shop')",
        f"CREATE USER MAPPING FOR {postgres.user} SERVER far OPTIONS (user '{postgres.user}', password '{postgres.password}')",
        "CREATE FOREIGN TABLE shop.abroad (id bigint, code varchar) SERVER far OPTIONS (schema_name 'shop', table_name 'orders')",
        "CREATE TABLE shop.many AS SELECT n AS id FROM generate_series(1, 200000) n",
        "CREATE SEQUENCE shop.counter", "CREATE INDEX many_id ON shop.many (id)",
        "ANALYZE",
    ) as made:  # fmt: skip
        yield made


def test_a_connection_says_what_it_found(server):
    assert opened(server, schema="shop").test().endswith(", 8 tables in schema 'shop'")
    assert opened(server, schema="shop").test().startswith("PostgreSQL 1")
    assert opened(server).test().endswith(", 0 tables in schema 'public'")


def test_tables_are_listed_with_estimates_and_without_partitions(server):
    found = {table.name: table.rows for table in opened(server, schema="shop").tables()}
    assert list(found) == ["abroad", "empty", "kept", "many", "nothing", "orders", "seen", "split"]
    assert found["empty"] is None
    assert [found["kept"], found["many"], found["orders"], found["split"]] == [2, 200_000, 2, 301]


def test_columns_and_key_are_described(server):
    schema = opened(server, schema="shop").schema("orders")
    assert schema.columns == (
        Column("id", "INT64", nullable=False), Column("code", "STRING", nullable=False), Column("price", "NUMERIC"),
        Column("twice", "NUMERIC"), Column("at", "TIMESTAMP"), Column('odd "name"', "STRING"),
    )  # fmt: skip
    assert schema.primary_key == ("id",)
    assert schema.rows == 2


def test_rows_survive_the_way_to_the_warehouse(server):
    source = opened(server, schema="shop")
    schema = source.schema("orders")
    first, second = (row for batch in cast_batches(source.read(schema), schema) for row in batch.to_pylist())
    assert str(first.pop("price")) == "12345678.900000000"
    assert str(first.pop("twice")) == "24691357.800000000"
    assert first == {"id": 1, "code": "00123", "at": dt.datetime(2024, 3, 31, 0, 30, tzinfo=dt.UTC), 'odd "name"': "x"}
    assert second["code"] == ""
    assert [value for name, value in second.items() if name not in ("id", "code")] == [None] * 4


@pytest.mark.parametrize("relation", ["seen", "kept", "abroad"])
def test_views_and_foreign_tables_are_read_like_tables(server, relation):
    source = opened(server, schema="shop")
    schema = source.schema(relation)
    assert source.read(schema).read_all().to_pylist() == [{"id": 1, "code": "00123"}, {"id": 2, "code": ""}]
    assert source.estimate(relation)
    assert source.read(schema, Part(column="id", low="2")).read_all()["id"].to_pylist() == [2]


def test_a_partitioned_table_is_one_table(server):
    source = opened(server, schema="shop")
    assert source.read(source.schema("split")).read_all().num_rows == 301
    assert source.read(source.schema("split_1")).read_all().num_rows == 182


def test_columns_come_in_the_order_that_is_wanted(server):
    source = opened(server, schema="shop")
    wanted = TableSchema("orders", (Column("code", "STRING"), Column("id", "INT64")))
    assert source.read(wanted).schema.names == ["code", "id"]
    with pytest.raises(NotFound, match="Did you mean 'code'"):
        source.read(TableSchema("orders", (Column("cod", "STRING"),)))


def test_an_empty_table_streams_its_schema(server):
    source = opened(server, schema="shop")
    found = source.read(source.schema("empty")).read_all()
    assert (found.num_rows, found.schema) == (0, pa.schema([("id", pa.int32())]))
    assert source.schema("nothing").columns == ()


def test_since_reads_from_the_boundary_and_keeps_nulls(server):
    source = opened(server, schema="shop")
    schema = source.schema("orders")

    def ids(value):
        return source.read(schema, Part(since=Since("at", value))).read_all()["id"].to_pylist()

    assert ids(None) == [1, 2]
    assert ids(json.dumps("2024-03-31T00:30:00+00:00")) == [1, 2]
    # Without a zone it is in UTC.
    assert ids(json.dumps("2024-03-31T00:30:00")) == [1, 2]
    assert ids(json.dumps("2024-03-31T00:30:00.000001+00:00")) == [2]


def test_batches_have_a_limit(server):
    source = opened(server, schema="shop")
    sizes = [batch.num_rows for batch in source.read(source.schema("many"))]
    assert sum(sizes) == 200_000
    assert max(sizes) <= source.BATCH_ROWS


def test_a_preview_asks_for_a_few_rows(server):
    source = opened(server, schema="shop")
    assert source.preview("many", 3).num_rows == 3
    assert source.preview("empty", 3).num_rows == 0


def readers(server):
    return execute(
        server, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )[0][0]


@pytest.mark.parametrize("batches", [0, 1])
def test_a_reader_that_is_dropped_gives_its_connection_back(server, batches):
    source = opened(server, schema="shop")
    wide = TableSchema("many", (Column("id", "INT64"),) * 8)
    reader = source.read(wide)
    assert readers(server) == 1
    for _ in range(batches):
        reader.read_next_batch()
    del reader
    gc.collect()
    # The server takes a moment to see that its client is gone.
    for attempt in Retrying(
        retry=retry_if_exception_type(AssertionError), stop=stop_after_delay(20), wait=wait_fixed(0.05)
    ):
        with attempt:
            assert readers(server) == 0


def test_estimates_are_the_planners(server):
    source = opened(server, schema="shop")
    assert source.estimate("many") == 200_000
    assert 95_000 < (source.estimate("many", Since("id", "100001")) or 0) < 105_000
    assert source.estimate("empty") == 0
    execute(server, "CREATE TABLE shop.fresh AS SELECT n FROM generate_series(1, 5000) n")
    assert 1000 < (source.estimate("fresh") or 0) < 25_000
    execute(server, "DROP TABLE shop.fresh")


HOSTILE = (
    '"; DROP TABLE x; --', "select", "UPPER", "it's", "back\\slash", "👍", "a\nb", "%s %(x)s", "{}", "n" * 63, "ü" * 31,
    "public.orders", "  ",
)  # fmt: skip


@pytest.fixture(scope="module")
def hostile(postgres):
    with database(postgres, '"; DROP DATABASE shop; -- 👍', f"CREATE SCHEMA {quoted(HOSTILE[0])}") as made:
        for name in HOSTILE:
            table = f"{quoted(HOSTILE[0])}.{quoted(name)}"
            execute(
                made,
                f"CREATE TABLE {table} ({quoted(name)} text, tags text[])",
                f"INSERT INTO {table} VALUES ('v', '{{a}}'), (NULL, NULL)",
            )
        yield made


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_data(hostile, name):
    source = opened(hostile, schema=HOSTILE[0])
    schema = source.schema(name)
    assert schema.names == (name, "tags")
    part = Part(Since(name, json.dumps("v")), name, json.dumps("a"), json.dumps("w"), nulls=True)
    assert source.read(schema, part).read_all().to_pylist() == [{name: "v", "tags": ["a"]}, {name: None, "tags": None}]
    assert source.preview(name, 1).num_rows == 1
    assert source.estimate(name, Since(name, json.dumps("v"))) is not None
    assert source.key_range(schema, Since(name, None), 2) is None
    assert source.safe_high(schema, name) is None


def test_hostile_schemas_are_listed(hostile):
    source = opened(hostile, schema=HOSTILE[0])
    assert {table.name for table in source.tables()} == set(HOSTILE)


@pytest.mark.parametrize("name", ["n" * 64, "n" * 400, "nul\0", "\ud800", "", "orders; --"])
def test_names_that_cannot_be_are_not_there(hostile, name):
    with pytest.raises(NotFound):
        opened(hostile, schema=HOSTILE[0]).schema(name)


@pytest.mark.parametrize("value", ['"x\' OR true --"', '"\\\\"', '"👍\\n"'])
def test_hostile_bounds_are_data(hostile, value):
    source = opened(hostile, schema=HOSTILE[0])
    found = source.read(source.schema("UPPER"), Part(column="UPPER", high=value)).read_all()["UPPER"].to_pylist()
    assert found == (["v"] if json.loads(value) > "v" else [])


def test_a_bound_that_is_no_value_of_the_column_is_an_error(server):
    source = opened(server, schema="shop")
    with pytest.raises(SourceError, match="invalid input syntax"):
        source.read(source.schema("orders"), Part(since=Since("id", '"2024-01-01"')))


@pytest.mark.parametrize("value", [json.dumps("a\0"), json.dumps("\ud800")])
def test_a_bound_that_no_text_can_be_is_an_error(hostile, value):
    source = opened(hostile, schema=HOSTILE[0])
    schema = source.schema("UPPER")
    with pytest.raises(SourceError, match="zero byte"):
        source.read(schema, Part(column="UPPER", low=value))


def test_a_schema_that_cannot_be_is_an_error(server):
    with pytest.raises(SourceError, match="zero byte"):
        opened(server, schema="a\0").tables()
