"""Firestore as a source, on its emulator: sampled types, exact values, what is new, parts, odd names."""

import base64
import datetime as dt
import itertools
import json
import math
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

grpc = pytest.importorskip("grpc")
firestore = pytest.importorskip("google.cloud.firestore")

from google.cloud.firestore_v1.vector import Vector  # noqa: E402
from sqlglot import exp  # noqa: E402

from b2brecs import Connection, EtlJob  # noqa: E402
from b2brecs.backends.local.duckdb import DuckDBWarehouse  # noqa: E402
from b2brecs.configs.sources import FirestoreSettings  # noqa: E402
from b2brecs.errors import NotFound, SourceError  # noqa: E402
from b2brecs.etl.cast import cast_batches  # noqa: E402
from b2brecs.etl.run import run_job  # noqa: E402
from b2brecs.sources import Part, Since, open_source  # noqa: E402
from b2brecs.sources.firestore import FirestoreSource  # noqa: E402
from b2brecs.sources.firestore_values import Misfit, fit, text  # noqa: E402
from b2brecs.types import Column, TableSchema  # noqa: E402

T0 = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def minute(number):
    return T0 + dt.timedelta(minutes=number)


@pytest.fixture
def client(firestore_emulator):
    """A client of a project of its own."""
    with_project = firestore.Client(project=f"p-{uuid.uuid4().hex[:12]}")
    yield with_project
    with_project.close()


@pytest.fixture
def source(client):
    found = open_source(Connection.firestore("app", project=client.project), lambda _: "")
    yield found
    found.close()


def fill(client, collection, documents):
    batch = client.batch()
    for name, fields in documents.items():
        batch.set(client.collection(collection).document(name), fields)
    batch.commit()


def rows(source, schema, part=None, on_reject=None):
    read = source.read(schema, part or Part(), on_reject=on_reject)
    return [row for batch in cast_batches(read, schema) for row in batch.to_pylist()]


def ids(source, schema, part=None, on_reject=None):
    return sorted(row["document_id"] for row in rows(source, schema, part, on_reject))


def types(schema):
    return {column.name: column.type for column in schema}


def as_text(schema):
    return TableSchema(schema.name, tuple(Column(column.name, "STRING", column.nullable) for column in schema))


def test_a_connection_says_what_it_found(client, source):
    fill(client, "orders", {"1": {"a": 1}})
    fill(client, "orders/1/lines", {"1": {"a": 1}})
    fill(client, "cafés", {"1": {"a": 1}})
    assert source.test() == "Firestore database '(default)', 2 collections"
    assert [table.name for table in source.tables()] == ["cafés", "orders"]


EVERY = {
    "nothing": None, "ok": True, "count": 2**53 + 1, "ratio": 0.1, "whole": 3.0, "odd": math.nan, "endless": -math.inf,
    "at": dt.datetime(2024, 3, 31, 1, 30, 0, 1, dt.UTC), "old": dt.datetime(1, 1, 1, tzinfo=dt.UTC),
    "far": dt.datetime(9999, 12, 31, 23, 59, 59, 999999, dt.UTC), "code": "00123", "empty": "", "raw": b"\x00\xff",
    "place": firestore.GeoPoint(1.5, -2), "tags": ["a", "ü"], "numbers": [1, 2], "mixed": [1, None, "x"],
    "times": [T0], "flags": [True], "ratios": [1, 2.5], "void": [], "vector": Vector([1.0, 2.5]),
    "inner": {"z": T0, "a": {"b": [b"\xff", math.nan, {"c": None}]}, "p": firestore.GeoPoint(0, 1)},
}  # fmt: skip


def test_types_and_values_survive(client, source):
    fill(client, "all", {"ü": {**EVERY, "friend": client.document("people/p1")}, "nobody": {}})
    schema = source.schema("all")
    assert schema.primary_key == ("document_id",)
    assert schema.names[0] == "document_id"
    assert [column.name for column in schema if not column.nullable] == ["document_id"]
    assert types(schema) == {
        "document_id": "STRING", "nothing": "STRING", "ok": "BOOL", "count": "INT64", "ratio": "FLOAT64",
        "whole": "FLOAT64", "odd": "FLOAT64", "endless": "FLOAT64", "at": "TIMESTAMP", "old": "TIMESTAMP",
        "far": "TIMESTAMP", "code": "STRING", "empty": "STRING", "raw": "BYTES", "place": "JSON",
        "tags": "ARRAY<STRING>", "numbers": "ARRAY<INT64>", "mixed": "JSON", "times": "ARRAY<TIMESTAMP>",
        "flags": "ARRAY<BOOL>", "ratios": "ARRAY<FLOAT64>", "void": "JSON", "vector": "JSON", "inner": "JSON",
        "friend": "STRING",
    }  # fmt: skip
    nobody, full = rows(source, schema)
    assert nobody == {**dict.fromkeys(schema.names), "document_id": "nobody"}
    assert math.isnan(full.pop("odd"))
    loose = {name: json.loads(full[name]) for name in ("place", "mixed", "void", "vector", "inner")}
    expected = {name: value for name, value in EVERY.items() if name != "odd"}
    assert {**full, **loose} == {
        **expected, "document_id": "ü", "friend": "people/p1", "place": {"latitude": 1.5, "longitude": -2.0},
        "vector": [1.0, 2.5],
        "inner": {
            "a": {"b": [base64.b64encode(b"\xff").decode(), "NaN", {"c": None}]}, "z": "2024-01-01T00:00:00Z",
            "p": {"latitude": 0.0, "longitude": 1.0},
        },
    }  # fmt: skip
    assert source.notes("all") == ()


def test_as_text_everything_is_kept(client, source):
    fill(client, "all", {"1": {**EVERY, "friend": client.document("people/p1")}})
    [row] = rows(source, as_text(source.schema("all")))
    assert row == {
        "document_id": "1", "nothing": None, "ok": "true", "count": "9007199254740993", "ratio": "0.1", "whole": "3.0",
        "odd": "NaN", "endless": "-Infinity", "at": "2024-03-31T01:30:00.000001Z", "old": "0001-01-01T00:00:00Z",
        "far": "9999-12-31T23:59:59.999999Z", "code": "00123", "empty": "", "raw": "AP8=",
        "place": '{"latitude":1.5,"longitude":-2.0}', "tags": '["a","ü"]', "numbers": "[1,2]", "mixed": '[1,null,"x"]',
        "times": '["2024-01-01T00:00:00Z"]', "flags": "[true]", "ratios": "[1,2.5]", "void": "[]",
        "vector": "[1.0,2.5]", "friend": "people/p1",
        "inner": '{"a":{"b":["/w==","NaN",{"c":null}]},"p":{"latitude":0.0,"longitude":1.0},"z":"2024-01-01T00:00:00Z"}',
    }  # fmt: skip


def test_the_majority_decides_and_the_rest_is_said(client, source):
    fill(client, "mix", {
        "1": {"v": 1, "n": 1, "big": 2**60 + 1, "list": [1], "t": "a"},
        "2": {"v": 2, "n": 2.5, "big": 0.5, "list": ["a"], "t": 1},
        "3": {"v": "x", "n": None, "list": []},
    })  # fmt: skip
    schema = source.schema("mix")
    assert types(schema) == {
        "document_id": "STRING", "v": "INT64", "n": "FLOAT64", "big": "STRING", "list": "JSON", "t": "STRING",
    }  # fmt: skip
    notes = source.notes("mix")
    assert [note.split("'")[1] for note in notes] == ["big", "t", "v"]
    assert "2 int, 1 string in 3 documents" in notes[2]
    assert "types={'v': 'STRING'}" in notes[2]
    assert "holds them all" in notes[1]
    with pytest.raises(
        SourceError, match=r"document '3' of 'mix', field 'v': the value is string .*types=\{'v': 'STRING'\}"
    ):
        rows(source, schema)
    rejects: list = []
    assert ids(source, schema, on_reject=rejects.append) == ["1", "2"]
    [reject] = rejects
    assert (reject.column, json.loads(reject.row)) == ("v", {"document_id": "3", "v": "x", "n": None, "list": []})
    kept = rows(source, as_text(schema))
    assert [row["v"] for row in kept] == ["1", "2", "x"]
    assert [row["big"] for row in kept] == ["1152921504606846977", "0.5", None]


FITS = [
    ("INT64", 3.0, 3), ("INT64", "12", 12), ("INT64", "-9223372036854775808", -(2**63)), ("FLOAT64", 2**53, 2.0**53),
    ("FLOAT64", "0.50", 0.5), ("BOOL", "true", True), ("TIMESTAMP", "2024-01-01T01:00:00+01:00", T0),
    ("TIMESTAMP", "2024-01-01T00:00:00.000000000Z", T0), ("NUMERIC", "12.50", __import__("decimal").Decimal("12.5")),
    ("DATE", "2024-02-29", dt.date(2024, 2, 29)), ("JSON", "x", '"x"'), ("ARRAY<STRING>", [1, T0], ["1", "2024-01-01T00:00:00Z"]),
]  # fmt: skip
MISFITS: list[tuple[Any, Any]] = [
    ("INT64", 2.5), ("INT64", True), ("INT64", "007"), ("INT64", "1_000"), ("INT64", "9223372036854775808"),
    ("INT64", math.nan), ("INT64", 1e300), ("FLOAT64", 2**53 + 1), ("FLOAT64", "1.00000000000000000001"),
    ("FLOAT64", "nan"), ("BOOL", 1), ("TIMESTAMP", "2024-01-01"), ("TIMESTAMP", "2024-01-01T00:00:00"),
    ("TIMESTAMP", "2024-01-01T00:00:00.0000001Z"), ("TIMESTAMP", 0), ("BYTES", "AP8="), ("ARRAY<INT64>", [1, None]),
    ("ARRAY<INT64>", [1, 2.5]), ("ARRAY<INT64>", 1), ("DATE", "2024-02-30"), ("ARRAY<STRING>", {"a": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "value", "cell"), FITS)
def test_what_fits_another_type_exactly_is_taken(client, source, kind, value, cell):
    fill(client, "c", {"1": {"v": value}})
    schema = TableSchema("c", (Column("document_id", "STRING"), Column("v", kind)))
    assert rows(source, schema) == [{"document_id": "1", "v": cell}]


def test_what_does_not_fit_is_never_bent(client, source):
    for number, (kind, value) in enumerate(MISFITS):
        fill(client, f"c{number}", {"1": {"v": value}})
        rejects: list = []
        table = TableSchema(f"c{number}", (Column("v", kind),))
        found = rows(source, table, on_reject=rejects.append)
        assert (found, [reject.column for reject in rejects]) == ([], ["v"]), (kind, value)


def test_odd_names_work(client, source):
    names = ["a.b", "`tick`", "😀", "quote\"'", "sp ace", "\\", "document_id", "document_id_", "_", "select"]
    odd = ["ü😀", "a.b`c", "__id7__", " ", "x" * 1500, "line\nbreak", "'; DROP"]
    fill(client, "größe", {name: {**dict.fromkeys(names, name), "at": T0} for name in odd})
    schema = source.schema("größe")
    # The field document_id makes room for the document's own id.
    assert set(schema.names) == {*names, "at", "document_id__"}
    found = {row["document_id"]: row for row in rows(source, schema)}
    assert set(found) == set(odd)
    for name, row in found.items():
        assert all(row[field] == name for field in ("a.b", "😀", "document_id_", "document_id__"))
    for field in ("a.b", "`tick`", "😀", "quote\"'", "\\", "document_id_"):
        assert ids(source, schema, Part(since=Since(field, json.dumps("a.b")))) == sorted(
            name for name in odd if name >= "a.b"
        )
    assert source.key_range(schema, None, 3).rows == len(odd)


def test_wide_and_large_documents(client, source):
    fill(client, "wide", {"1": {f"f{number}": number for number in range(400)}, "2": {"f0": None}})
    schema = source.schema("wide")
    assert len(schema.columns) == 401
    assert rows(source, schema)[0]["f399"] == 399
    for number in range(40):
        client.document(f"huge/{number:02}").set({"t": "x" * 1_000_000})
    huge = source.schema("huge")
    batches = list(source.read(huge))
    assert sum(batch.num_rows for batch in batches) == 40
    assert max(batch.nbytes for batch in batches) < 40_000_000


CHANGING = {
    "before": {"at": minute(9)}, "on": {"at": minute(10)}, "after": {"at": minute(11)}, "null": {"at": None},
    "missing": {"other": 1}, "text": {"at": "2024-01-01"}, "number": {"at": 5}, "map": {"at": {"a": 1}},
}  # fmt: skip


def test_nothing_new_is_lost(client, source):
    fill(client, "log", CHANGING)
    schema = TableSchema("log", (Column("document_id", "STRING"), Column("at", "TIMESTAMP")))
    rejects: list = []
    part = Part(since=Since("at", json.dumps(minute(10).isoformat())))
    assert ids(source, schema, part, rejects.append) == ["after", "missing", "null", "on"]
    assert sorted(json.loads(reject.row)["document_id"] for reject in rejects) == ["map", "number", "text"]
    first = Part(since=Since("at", None))
    assert ids(source, schema, first, [].append) == ["after", "before", "missing", "null", "on"]


def test_new_numbers_texts_and_ids(client, source):
    fill(
        client,
        "n",
        {"a": {"v": 1}, "b": {"v": 2.5}, "c": {"v": math.nan}, "d": {"v": None}, "e": {"v": -math.inf}, "f": {}},
    )
    schema = source.schema("n")
    assert types(schema)["v"] == "FLOAT64"
    assert ids(source, schema, Part(since=Since("v", "2"))) == ["b", "c", "d", "f"]
    assert ids(source, schema, Part(since=Since("document_id", '"d"'))) == ["d", "e", "f"]
    # As text, what is compared is the text: 2.5 is less than b, and so is 1.
    fill(client, "t", {"a": {"v": "a"}, "b": {"v": "b"}, "c": {"v": 1}, "d": {"v": None}, "e": {"v": True}})
    text = TableSchema("t", (Column("document_id", "STRING"), Column("v", "STRING")))
    assert ids(source, text, Part(since=Since("v", '"b"'))) == ["b", "d", "e"]
    with pytest.raises(SourceError, match="by which nothing can be ordered"):
        rows(source, TableSchema("n", (Column("v", "JSON"),)), Part(since=Since("v", "2")))


def test_what_is_new_is_read_as_of_one_moment(client, source, monkeypatch):
    fill(client, "log", {f"{number:02}": {"at": minute(number)} for number in range(20)})
    monkeypatch.setattr("b2brecs.sources.firestore_query._FIRST_PAGE", 5)
    monkeypatch.setattr("b2brecs.sources.firestore_query._MOST_ON_PAGE", 5)
    monkeypatch.setattr(type(source), "BATCH_ROWS", 5)
    schema = source.schema("log")
    reader = source.read(schema, Part(since=Since("at", json.dumps(minute(10).isoformat()))))
    found = reader.read_next_batch()["document_id"].to_pylist()
    client.document("log/10").update({"at": minute(99)})
    client.document("log/50").set({"at": minute(50)})
    found += [name for batch in reader for name in batch["document_id"].to_pylist()]
    assert found == [f"{number:02}" for number in range(10, 20)]


def test_pages_follow_each_other(client, source, monkeypatch):
    monkeypatch.setattr("b2brecs.sources.firestore_query._FIRST_PAGE", 3)
    monkeypatch.setattr("b2brecs.sources.firestore_query._MOST_ON_PAGE", 7)
    # Many of one time: the place in the order is kept by name too.
    fill(client, "log", {f"{number:03}": {"at": minute(number // 20)} if number % 9 else {} for number in range(100)})
    schema = source.schema("log")
    everything = [f"{number:03}" for number in range(100)]
    assert ids(source, schema) == everything
    part = Part(since=Since("at", json.dumps(minute(2).isoformat())))
    assert ids(source, schema, part) == [name for name in everything if int(name) >= 40 or int(name) % 9 == 0]


def test_parts_hold_each_document_once(client, source):
    names = [f"{number:03}" for number in range(200)] + ["__id5__", "__id40__", "ü", "😀", "Z"]
    fill(client, "big", {name: {"v": 1} for name in names})
    schema = source.schema("big")
    found = source.key_range(schema, None, 4)
    assert (found.column, found.kind, found.nullable, found.rows) == ("document_id", "STRING", False, 205)
    assert json.loads(found.bounds[0]) == "__id5__"
    cuts = found.bounds[1:-1]
    assert len(cuts) == 3
    parts = [Part(None, "document_id", low, high) for low, high in zip((None, *cuts), (*cuts, None), strict=True)]
    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(lambda part: ids(source, schema, part), parts))
    assert sorted(itertools.chain(*read)) == sorted(names)
    assert max(map(len, read)) - min(map(len, read)) <= 1
    assert source.key_range(schema, Since("v", "1"), 4) is None


def test_all_conditions_of_a_part_hold(client, source):
    fill(client, "log", {f"{number:02}": {"at": minute(number), "v": number or None} for number in range(20)})
    schema = source.schema("log")
    since = Since("at", json.dumps(minute(10).isoformat()))
    assert ids(source, schema, Part(since, "document_id", '"08"', '"13"')) == ["10", "11", "12"]
    assert ids(source, schema, Part(since, "v", "8", "13")) == ["10", "11", "12"]
    assert ids(source, schema, Part(None, "v", None, "2", nulls=True)) == ["00", "01"]
    assert ids(source, schema, Part(None, "v", None, "2")) == ["01"]


def test_collections_within_documents(client, source):
    for shop in ("s1", "s2"):
        fill(client, f"shops/{shop}/orders", {"a": {"shop": shop}, "b": {"shop": shop}})
    fill(client, "orders", {"a": {"shop": None}})
    one = source.schema("shops/s1/orders")
    assert [(row["document_id"], row["shop"]) for row in rows(source, one)] == [("a", "s1"), ("b", "s1")]
    group = source.schema("**/orders")
    assert ids(source, group) == ["orders/a", *(f"shops/{s}/orders/{d}" for s in ("s1", "s2") for d in "ab")]
    found = source.key_range(group, None, 2)
    middle = found.bounds[1]
    halves = [ids(source, group, Part(None, "document_id", *ends)) for ends in ((None, middle), (middle, None))]
    assert sorted(itertools.chain(*halves)) == ids(source, group)
    assert all(halves)
    assert ids(source, group, Part(since=Since("shop", '"s2"'))) == [
        "orders/a",
        "shops/s2/orders/a",
        "shops/s2/orders/b",
    ]
    for wrong in ("", "a/b", "a//b", "**/a/b", "/a", "**/"):
        with pytest.raises(SourceError, match="cannot be a collection"):
            source.schema(wrong)


def test_a_reference_to_another_database_is_read(client, source):
    other = firestore.Client(project="elsewhere")
    fill(client, "c", {"1": {"r": other.document("a/b")}})
    other.close()
    assert rows(source, source.schema("c")) == [{"document_id": "1", "r": "a/b"}]


def test_a_missing_collection_is_named(client, source):
    fill(client, "orders", {"1": {"a": 1}})
    with pytest.raises(NotFound, match="Did you mean 'orders'"):
        source.schema("orderz")
    with pytest.raises(SourceError, match="__x__"):
        source.schema("__x__")


def test_a_sample_is_enough(client):
    fill(client, "c", {f"{number:03}": {"v": number} for number in range(50)} | {"zzz": {"v": "text", "late": 1}})
    small = FirestoreSource(FirestoreSettings(project=client.project, sample=10), lambda _: "")
    assert types(small.schema("c")) == {"document_id": "STRING", "v": "INT64"}
    assert small.notes("c") == ()
    assert small.estimate("c") == 51
    rejects: list = []
    assert len(ids(small, small.schema("c"), on_reject=rejects.append)) == 50
    assert [reject.column for reject in rejects] == ["v"]
    small.close()


def test_estimates_are_counts(client, source):
    fill(client, "log", CHANGING)
    since = Since("at", json.dumps(minute(10).isoformat()))
    assert source.estimate("log") == 8
    assert source.estimate("log", Since("at", None)) == 8
    # Without a schema it is not known how to compare.
    assert source.estimate("log", since) is None
    source.schema("log")
    assert source.estimate("log", since) == 6


def test_a_preview_leaves_no_document_out(client, source):
    fill(client, "c", {"1": {"v": 1}, "2": {"v": 2}, "3": {"v": "x"}, "4": {"v": 4}})
    assert source.preview("c", 3).to_pylist() == [
        {"document_id": "1", "v": "1"}, {"document_id": "2", "v": "2"}, {"document_id": "3", "v": "x"},
    ]  # fmt: skip
    assert source.preview("c", 2)["v"].to_pylist() == [1, 2]
    assert source.preview("nowhere", 2).num_rows == 0


def test_no_digit_of_a_time_is_cut():
    from google.cloud.firestore_v1.types import Value

    fine = Value.pb(Value(timestamp_value={"seconds": 1, "nanos": 1_001}))
    assert text(fine) == "1970-01-01T00:00:01.000001001Z"
    with pytest.raises(Misfit):
        fit("TIMESTAMP")(fine)


def test_a_job_loads_what_changed(client, source, tmp_path):
    warehouse = DuckDBWarehouse(tmp_path / "w.duckdb")
    for key in (("document_id",), ()):
        name = f"log{len(key)}"
        columns = ("document_id", "at", "v")
        job = EtlJob(name, connection="app").load(
            name, watermark="at", primary_key=key, columns=columns, max_rejects=1
        )  # fmt: skip
        fill(client, name, {f"{number:02}": {"at": minute(number), "v": number} for number in range(30)} | CHANGING)
        # Only by a key is it known which row was changed.
        moved = {"10": {"at": minute(50), "v": -1}} if key else {}
        for change in ({}, moved | {"missing": {"v": 5}}, {}, {"new": {"at": minute(50)}, "lacks": {"v": 6}}):
            if change:
                fill(client, name, change)
            [result] = run_job(job, source, warehouse).tables
            assert result.status in ("completed", "unchanged"), result
            loaded = warehouse.query(exp.select(*columns).from_(name)).read_all().to_pylist()
            truth = rows(source, source.schema(name), on_reject=[].append)
            expected = [{"document_id": row["document_id"], "at": row["at"], "v": row["v"]} for row in truth]
            assert sorted(loaded, key=str) == sorted(expected, key=str)
    warehouse.close()
