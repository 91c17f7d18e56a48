"""BigQuery as a source, on its emulator: types, parts, moments, both ways out, refusals in words."""

import datetime as dt
import decimal
import itertools
import json
import threading
import traceback
import uuid
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

grpc = pytest.importorskip("grpc")
bigquery = pytest.importorskip("google.cloud.bigquery")
storage = pytest.importorskip("google.cloud.bigquery_storage_v1")

from google.auth.credentials import AnonymousCredentials  # noqa: E402

from b2brecs import Connection, Secret  # noqa: E402
from b2brecs.errors import NotFound, SourceError  # noqa: E402
from b2brecs.etl.cast import cast_batches  # noqa: E402
from b2brecs.sources import Part, Since, open_source  # noqa: E402
from b2brecs.types import Column, TableSchema  # noqa: E402

TYPES = """
CREATE TABLE {d}.types (
  id INT64 NOT NULL, code STRING, price NUMERIC, wide BIGNUMERIC, ratio FLOAT64, ok BOOL, day DATE, local DATETIME,
  at TIMESTAMP, clock TIME, doc JSON, raw BYTES, tags ARRAY<STRING>, numbers ARRAY<INT64>, days ARRAY<DATE>,
  moments ARRAY<TIMESTAMP>, prices ARRAY<NUMERIC>, `größe in cm` INT64,
  inner_ STRUCT<a INT64, b STRUCT<c STRING, d ARRAY<INT64>>>, lines ARRAY<STRUCT<x INT64, y STRING>>,
  docs ARRAY<JSON>, place GEOGRAPHY, span INTERVAL, during RANGE<DATE>, PRIMARY KEY (id) NOT ENFORCED
)
"""
ROW = r"""
INSERT INTO {d}.types VALUES (
  9007199254740993, '00123', NUMERIC '12345678901234567890123456789.123456789',
  BIGNUMERIC '12345678901234567890.123456789012345678', 0.1, TRUE,
  DATE '2024-02-29', DATETIME '2024-03-31T02:30:00.000001', TIMESTAMP '2024-03-31T01:30:00.000001Z', TIME '23:59:59.999999',
  JSON '{{"a": [1, null]}}', b'\x00\xff', ['a', 'ü'], [1, 2], [DATE '2024-01-01'], [TIMESTAMP '2024-01-01T00:00:00Z'],
  [NUMERIC '1.5'], 7, STRUCT(1 AS a, STRUCT('x' AS c, [1, 2] AS d) AS b), [STRUCT(1 AS x, 'y' AS y)],
  [JSON '1', JSON '{{"k":[]}}'], ST_GEOGPOINT(1, 2.5), INTERVAL '1-2 3 4:5:6.789' YEAR TO SECOND,
  RANGE<DATE> '[2024-01-01, UNBOUNDED)'
)
"""
ORDERS = """
CREATE TABLE {d}.orders AS
SELECT id, TIMESTAMP_ADD(TIMESTAMP '2024-01-01T00:00:00Z', INTERVAL id MINUTE) AS at, CONCAT('o', CAST(id AS STRING)) AS name
FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS id
"""


@pytest.fixture(scope="module")
def client(bigquery_emulator):
    with bigquery.Client(bigquery_emulator.project, credentials=AnonymousCredentials()) as opened:
        yield opened


@pytest.fixture(scope="module")
def dataset(client):
    name = f"d{uuid.uuid4().hex[:10]}"
    client.create_dataset(name)
    for statement in (
        TYPES, ROW, "INSERT INTO {d}.types (id) VALUES (2)", ORDERS,
        "INSERT INTO {d}.orders VALUES (1001, NULL, 'late')",
        "CREATE TABLE {d}.empty (id INT64, inner_ STRUCT<a INT64>)",
        "CREATE VIEW {d}.seen AS SELECT id, [STRUCT(name AS name)] AS names FROM {d}.orders WHERE id <= 10",
        "CREATE TABLE {d}.daily (day DATE, k STRING) PARTITION BY day OPTIONS (require_partition_filter = TRUE)",
        "INSERT INTO {d}.daily VALUES (DATE '2024-01-01', 'a'), (DATE '2024-01-02', 'b'), (NULL, 'c')",
    ):  # fmt: skip
        client.query_and_wait(statement.format(d=name))
    return name


def opened(server, dataset, *, secret=None, **changes):
    settings = {"project": server.project, "dataset": dataset, **changes}
    if secret is not None:
        settings["credentials"] = Secret("env:KEY")
    return open_source(Connection.bigquery("lake", **settings), lambda _: secret)


class Recorder(grpc.UnaryUnaryClientInterceptor):  # type: ignore[misc, name-defined]
    """Keeps the read sessions that were asked for."""

    sessions: list = []

    def intercept_unary_unary(self, continuation, details, request):
        if details.method.endswith("CreateReadSession"):
            self.sessions.append(request.read_session)
        return continuation(details, request)


@pytest.fixture(params=["rest", "storage"])
def source(request, bigquery_emulator, dataset):
    """The source, by each of its ways out; the emulator's Storage API has an address of its own."""
    found = opened(bigquery_emulator, dataset)
    if request.param == "storage":
        channel = grpc.intercept_channel(grpc.insecure_channel(bigquery_emulator.grpc_endpoint), Recorder())
        transport = storage.BigQueryReadClient.get_transport_class("grpc")(channel=channel)
        found._storage, found._no_storage = storage.BigQueryReadClient(transport=transport), False
    yield found
    found.close()


def rows(source, table, part=None, columns=None):
    schema = source.schema(table)
    if columns is not None:
        schema = TableSchema(table, tuple(schema.column(name) for name in columns))
    read = source.read(schema, part) if part is not None else source.read(schema)
    return [row for batch in cast_batches(read, schema) for row in batch.to_pylist()]


def ids(source, part=None):
    return sorted(row["id"] for row in rows(source, "orders", part, ["id"]))


def test_a_connection_says_what_it_found(bigquery_emulator, dataset):
    source = opened(bigquery_emulator, dataset)
    assert source.test() == f"BigQuery dataset {bigquery_emulator.project}.{dataset} in US, 5 tables"
    assert [(table.name, table.rows) for table in source.tables()] == [
        ("daily", 3), ("empty", 0), ("orders", 1001), ("seen", None), ("types", 2),
    ]  # fmt: skip


def test_types_and_values_survive(source, client, dataset):
    schema = source.schema("types")
    assert schema.primary_key == ("id",)
    assert not schema.column("id").nullable
    assert [column.type for column in schema] == [
        "INT64", "STRING", "NUMERIC", "BIGNUMERIC", "FLOAT64", "BOOL", "DATE", "DATETIME", "TIMESTAMP", "TIME", "JSON",
        "BYTES", "ARRAY<STRING>", "ARRAY<INT64>", "ARRAY<DATE>", "ARRAY<TIMESTAMP>", "JSON", "INT64", "JSON", "JSON",
        "JSON", "STRING", "STRING", "JSON",
    ]  # fmt: skip
    empty, full = sorted(rows(source, "types"), key=lambda row: row["id"])
    # The emulator's own text of an interval is not BigQuery's.
    [[span]] = client.query_and_wait(f"SELECT CAST(span AS STRING) FROM {dataset}.types WHERE span IS NOT NULL")
    loose = {name: json.loads(full[name]) for name in ("doc", "prices", "inner_", "lines", "docs", "during")}
    assert {**full, **loose} == {
        "id": 2**53 + 1, "code": "00123", "price": decimal.Decimal("12345678901234567890123456789.123456789"),
        "wide": decimal.Decimal("12345678901234567890.123456789012345678"),
        "ratio": 0.1, "ok": True, "day": dt.date(2024, 2, 29), "local": dt.datetime(2024, 3, 31, 2, 30, 0, 1),
        "at": dt.datetime(2024, 3, 31, 1, 30, 0, 1, dt.UTC), "clock": dt.time(23, 59, 59, 999999),
        "doc": {"a": [1, None]}, "raw": b"\x00\xff", "tags": ["a", "ü"], "numbers": [1, 2],
        "days": [dt.date(2024, 1, 1)], "moments": [dt.datetime(2024, 1, 1, tzinfo=dt.UTC)], "prices": [1.5],
        "größe in cm": 7, "inner_": {"a": 1, "b": {"c": "x", "d": [1, 2]}}, "lines": [{"x": 1, "y": "y"}],
        "docs": [1, {"k": []}], "place": "POINT(1 2.5)", "span": span, "during": {"start": "2024-01-01", "end": None},
    }  # fmt: skip
    # BigQuery keeps no NULL arrays; NULL structs stay NULL, not the text null.
    assert {name for name, value in empty.items() if value not in (None, [], "[]")} == {"id"}
    assert empty["inner_"] is None


def test_columns_come_in_the_order_asked_for(source):
    assert [list(row) for row in rows(source, "types", columns=["raw", "inner_", "id"])] == [
        ["raw", "inner_", "id"]
    ] * 2
    assert [list(row) for row in rows(source, "types", columns=["raw", "id"])] == [["raw", "id"]] * 2


def test_an_empty_table_streams_its_schema(source):
    found = source.read(source.schema("empty")).read_all()
    assert (found.num_rows, found.schema.names) == (0, ["id", "inner_"])


def test_a_view_is_read_too(source):
    found = rows(source, "seen")
    assert sorted(row["id"] for row in found) == list(range(1, 11))
    assert json.loads(next(row["names"] for row in found if row["id"] == 3)) == [{"name": "o3"}]


def test_a_table_that_asks_for_a_condition_gives_all_rows(source):
    assert sorted(row["k"] for row in rows(source, "daily")) == ["a", "b", "c"]
    request = source.read(source.schema("daily"), Part(since=Since("day", json.dumps("2024-01-02"))))
    assert sorted(request.read_all()["k"].to_pylist()) == ["b", "c"]


def test_since_reads_from_the_boundary_and_keeps_nulls(source):
    since = Since("at", json.dumps("2024-01-01T16:38:00+00:00"))
    assert ids(source, Part(since=since)) == [998, 999, 1000, 1001]
    later = Since("at", json.dumps("2024-01-01T16:38:00.000001+00:00"))
    assert ids(source, Part(since=later)) == [999, 1000, 1001]
    assert ids(source, Part(since=since, column="id", low="999", high="1000")) == [999]


@pytest.mark.parametrize("column", ["id", "at"])
def test_parts_hold_each_row_once(source, column):
    schema = source.schema("orders")
    since = Since(column, None)
    found = source.key_range(schema, since, 4)
    assert (found.column, found.rows, found.nullable) == (column, 1001, True)
    assert len(found.bounds) >= 4
    values = [json.loads(bound) for bound in found.bounds]
    assert values == sorted(values)
    cuts = found.bounds[1:-1]
    lows, highs = (None, *cuts), (*cuts, None)
    parts = [Part(None, column, low, high, nulls=low is None) for low, high in zip(lows, highs, strict=True)]
    read = [ids(source, part) for part in parts]
    assert sorted(itertools.chain(*read)) == list(range(1, 1002))
    assert max(map(len, read)) < 2 * min(map(len, read))


def test_partitions_are_where_a_table_is_cut(bigquery_emulator, dataset):
    source = opened(bigquery_emulator, dataset)
    found = source.key_range(source.schema("daily"), None, 2)
    assert (found.column, found.kind, found.bounds[0]) == ("day", "DATE", '"2024-01-01"')
    assert source.key_range(source.schema("types"), None, 2).column == "id"
    assert source.key_range(source.schema("seen"), None, 2) is None
    assert source.key_range(source.schema("empty"), Since("id", None), 2) is None


def test_parts_see_one_moment(source, client, dataset):
    client.query_and_wait(f"CREATE OR REPLACE TABLE {dataset}.moving AS SELECT 1 AS id")
    schema = source.schema("moving")
    with source.snapshot() as moment:
        client.query_and_wait(f"INSERT INTO {dataset}.moving VALUES (2)")
        then = source.read(schema, Part(snapshot=moment)).read_all()
    if source._no_storage:
        assert then["id"].to_pylist() == [1]
    else:
        # The emulator's Storage API does not look at the moment.
        [asked] = [session for session in Recorder.sessions if session.table.endswith("/moving")]
        assert dt.datetime.fromisoformat(moment) == asked.table_modifiers.snapshot_time
    assert source.read(schema).read_all().num_rows == 2
    client.query_and_wait(f"DROP TABLE {dataset}.moving")


def test_several_threads_read_at_once(source):
    found: list[list[int]] = []
    parts = [Part(column="id", low=str(low), high=str(low + 250)) for low in range(1, 1001, 250)]
    threads = [threading.Thread(target=lambda part=part: found.append(ids(source, part))) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(itertools.chain(*found)) == list(range(1, 1001))


def test_batches_are_small(source, monkeypatch):
    monkeypatch.setattr(type(source), "BATCH_ROWS", 300)
    assert [batch.num_rows <= 300 for batch in source.read(source.schema("orders"))].count(False) == 0
    assert source.read(source.schema("orders")).read_all().num_rows == 1001


def test_a_preview_asks_for_a_few_rows(bigquery_emulator, dataset):
    source = opened(bigquery_emulator, dataset)
    assert source.preview("orders", 3).num_rows == 3
    assert source.preview("seen", 3).num_rows == 3
    full = next(row for row in source.preview("types", 2).to_pylist() if row["code"])
    assert full["span"] == "1-2 3 4:5:6.789"
    assert json.loads(full["inner_"]) == {"a": 1, "b": {"c": "x", "d": [1, 2]}}
    assert json.loads(full["during"]) == {"start": "2024-01-01", "end": None}
    assert full["wide"] == decimal.Decimal("12345678901234567890.123456789012345678")


def test_estimates_come_from_metadata(bigquery_emulator, dataset):
    source = opened(bigquery_emulator, dataset)
    assert source.estimate("orders") == 1001
    assert source.estimate("orders", Since("at", None)) == 1001
    assert source.estimate("seen") is None
    # The emulator does not know what a query would read.
    assert source.estimate("orders", Since("at", json.dumps("2024-01-01T16:38:00+00:00"))) is None


def test_times_finer_than_a_microsecond_are_text():
    from b2brecs.sources.bigquery_types import chosen, column_of

    fine = bigquery.SchemaField("at", "TIMESTAMP", timestamp_precision=bigquery.enums.TimestampPrecision.PICOSECOND)
    assert column_of(fine).type == "STRING"
    assert chosen([fine])[0].sql("bigquery") == "CAST(`at` AS STRING) AS `at`"


def test_what_is_missing_is_named(bigquery_emulator, dataset):
    source = opened(bigquery_emulator, dataset)
    with pytest.raises(NotFound, match="Did you mean 'orders'"):
        source.schema("orderz")
    wrong = TableSchema("orders", (Column("nam", "STRING"),))
    with pytest.raises(NotFound, match="no column named 'nam'"):
        source.read(wrong)
    lost = opened(bigquery_emulator, f"{dataset}x")
    for ask in (lost.test, lost.tables, lambda: lost.schema("orders")):
        with pytest.raises(SourceError, match=f"there is no dataset '{dataset}x'.*Did you mean '{dataset}'"):
            ask()


@pytest.mark.parametrize("name", ["../../datasets", "orders`; DROP TABLE orders; --", "😀", "", "x" * 2000, "a?b#c"])
def test_hostile_names_lead_nowhere(bigquery_emulator, dataset, name):
    with pytest.raises((NotFound, SourceError)):
        opened(bigquery_emulator, dataset).schema(name)
    with pytest.raises(SourceError):
        opened(bigquery_emulator, name or "/").tables()


SECRETS = {
    "no JSON": "-----BEGIN PRIVATE KEY----- c2VjcmV0",
    "another kind": json.dumps({"type": "authorized_user", "refresh_token": "c2VjcmV0"}),
    "a damaged key": json.dumps({
        "type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n",
        "client_email": "a@b", "token_uri": "https://oauth2.googleapis.com/token", "private_key_id": "c2VjcmV0",
    }),
}  # fmt: skip


@pytest.mark.parametrize("case", SECRETS)
def test_a_wrong_key_is_refused_and_never_shown(bigquery_emulator, dataset, case):
    with pytest.raises(SourceError, match="Store the whole content") as caught:
        opened(bigquery_emulator, dataset, secret=SECRETS[case]).test()
    everything = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert "c2VjcmV0" not in everything


class Refusing(BaseHTTPRequestHandler):
    """Says no, as BigQuery does to an account without a role."""

    def do_GET(self):
        said = {"message": "Access Denied: Dataset p:d: bigquery.datasets.get denied", "reason": "accessDenied"}
        text = json.dumps({"error": {"code": 403, **said, "errors": [said]}}).encode()
        self.send_response(403)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


def test_a_refusal_names_the_role(monkeypatch, bigquery_emulator):
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
        with pytest.raises(SourceError, match=r"denied\. Grant roles/bigquery\.dataViewer") as caught:
            opened(bigquery_emulator, "d").test()
        assert not caught.value.transient
        server.shutdown()


def test_where_the_storage_api_is_forbidden_rest_is_read(bigquery_emulator, dataset):
    def refuse(request, context):
        context.abort(grpc.StatusCode.PERMISSION_DENIED, "bigquery.readsessions.create denied")

    handler = grpc.method_handlers_generic_handler(
        "google.cloud.bigquery.storage.v1.BigQueryRead",
        {"CreateReadSession": grpc.unary_unary_rpc_method_handler(refuse)},
    )
    server = grpc.server(ThreadPoolExecutor(2), handlers=[handler])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    source = opened(bigquery_emulator, dataset)
    transport = storage.BigQueryReadClient.get_transport_class("grpc")(
        channel=grpc.insecure_channel(f"127.0.0.1:{port}")
    )
    source._storage, source._no_storage = storage.BigQueryReadClient(transport=transport), False
    assert len(ids(source)) == 1001
    assert source._no_storage
    assert len(rows(source, "seen")) == 10
    server.stop(0)


def test_nobody_there_is_said(monkeypatch, dataset, bigquery_emulator):
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", "http://127.0.0.1:1")
    source = opened(bigquery_emulator, dataset)
    monkeypatch.setattr("b2brecs.sources.bigquery.TEST_SECONDS", 0.5)
    with pytest.raises(SourceError) as caught:
        source._google.in_time(lambda: source._dataset(timeout=0.5), 1)
    assert caught.value.transient
