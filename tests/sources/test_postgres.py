"""PostgreSQL, a real server: types, refusals in words, and no secret in any of them."""

import datetime as dt
import decimal
import json
import traceback

import psycopg2
import pytest

from b2brecs import Connection, Secret
from b2brecs.errors import NotFound, SourceError
from b2brecs.etl.cast import cast_batches
from b2brecs.sources import Since, open_source


@pytest.fixture(scope="module")
def server(postgres):
    connection = psycopg2.connect(postgres.url("postgresql"))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(
            '''
            CREATE SCHEMA shop;
            CREATE TABLE shop.orders (
              id bigint PRIMARY KEY, code varchar(20), price numeric(12, 2), wild numeric, ratio float8, ok boolean,
              day date, at timestamptz, local_at timestamp, clock time, doc jsonb, raw bytea, tags text[], key uuid,
              net inet, "odd ""name""" text
            );
            INSERT INTO shop.orders VALUES
              (1, '00123', 12345678.90, 1e30, 0.1, true, '2024-02-29', '2024-03-31 01:30:00+01', '2024-03-31 02:30', '23:59:59',
               '{"a": [1, null]}', '\\x00ff', '{a,NULL,ü}', '00000000-0000-0000-0000-000000000001', '::1', 'x'),
              (2, '', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
            CREATE TABLE shop.empty (id int);
            '''
        )
    connection.close()
    return postgres


def opened(server, *, password=None, **changes):
    settings = {
        "host": server.host, "port": server.port, "database": server.database, "user": server.user,
        "password": Secret("env:SHOP"), "schema": "shop", **changes,
    }  # fmt: skip
    return open_source(Connection.postgres("erp", **settings), lambda _: password or server.password)


def test_a_connection_says_what_it_found(server):
    assert opened(server).test().endswith("2 tables in schema 'shop'")
    assert [table.name for table in opened(server).tables()] == ["empty", "orders"]


def test_types_and_values_survive(server):
    source = opened(server)
    schema = source.schema("orders")
    assert schema.primary_key == ("id",)
    assert [column.type for column in schema] == [
        "INT64", "STRING", "NUMERIC", "STRING", "FLOAT64", "BOOL", "DATE", "TIMESTAMP", "DATETIME", "TIME", "JSON",
        "BYTES", "ARRAY<STRING>", "STRING", "STRING", "STRING",
    ]  # fmt: skip
    rows = [row for batch in cast_batches(source.read(schema), schema) for row in batch.to_pylist()]
    first, second = rows
    assert first == {
        "id": 1, "code": "00123", "price": decimal.Decimal("12345678.90"),
        "wild": "1" + "0" * 30, "ratio": 0.1, "ok": True, "day": dt.date(2024, 2, 29),
        "at": dt.datetime(2024, 3, 31, 0, 30, tzinfo=dt.UTC), "local_at": dt.datetime(2024, 3, 31, 2, 30),
        "clock": dt.time(23, 59, 59), "doc": '{"a": [1, null]}', "raw": b"\x00\xff", "tags": ["a", None, "ü"],
        "key": "00000000-0000-0000-0000-000000000001", "net": "::1", 'odd "name"': "x",
    }  # fmt: skip
    assert second["code"] == ""
    assert [value for name, value in second.items() if name not in ("id", "code")] == [None] * 14


def test_an_empty_table_streams_its_schema(server):
    source = opened(server)
    assert source.read(source.schema("empty")).read_all().num_rows == 0


def test_since_reads_from_the_boundary_and_keeps_nulls(server):
    source = opened(server)
    schema = source.schema("orders")
    low = json.dumps("2024-03-31T00:30:00+00:00")
    assert source.read(schema, since=Since("at", low)).read_all().num_rows == 2
    later = json.dumps("2024-03-31T00:30:00.000001+00:00")
    assert source.read(schema, since=Since("at", later)).read_all()["id"].to_pylist() == [2]


REFUSALS: dict[str, tuple[dict, str, str]] = {
    "wrong password": ({"password": "s3cr3t-wrong"}, "password is wrong", "Check user="),
    "no such database": ({"database": "nowhere"}, "no such database", "Check database="),
    "unreachable": ({"port": 1}, "cannot be reached", "Check host="),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_refusals_are_in_words_and_hold_no_secret(server, case):
    changes, reason, fix = REFUSALS[case]
    secret = changes.get("password", server.password)
    with pytest.raises(SourceError) as caught:
        opened(server, **changes).test()
    assert reason in caught.value.reason
    assert fix in caught.value.fix
    everything = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + repr(caught.value.__context__)
    assert secret not in everything


def test_a_missing_table_is_named(server):
    with pytest.raises(NotFound, match="Did you mean 'orders'"):
        opened(server).schema("orderz")


def test_a_revoked_permission_names_the_grant(server):
    connection = psycopg2.connect(server.url("postgresql"))
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE ROLE guest LOGIN PASSWORD 'g'; GRANT USAGE ON SCHEMA shop TO guest")
    connection.close()
    source = opened(server, user="guest", password="g")
    with pytest.raises(SourceError, match="Grant SELECT to 'guest'"):
        source.read(source.schema("orders")).read_all()
