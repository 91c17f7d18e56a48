"""The same files give the same answers, wherever they lie."""

import datetime as dt
import gzip
import json
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from b2brecs.errors import NotFound, SourceError
from b2brecs.sources import Part
from b2brecs.types import Column, TableSchema
from tests.sources import places

KINDS = ("files", "s3", "gcs", "azure_blob")


@pytest.fixture(params=KINDS)
def place(request, tmp_path):
    if request.param == "files":
        opened = places.folder(tmp_path / "data")
        (tmp_path / "data").mkdir()
    elif request.param == "s3":
        opened = places.s3(request.getfixturevalue("s3_server"), "in/")
    elif request.param == "gcs":
        opened = places.gcs(request.getfixturevalue("gcs_server"), "in/")
    else:
        opened = places.azure(request.getfixturevalue("azure_server"), "in/")
    with opened as found:
        yield found


def rows(source, table, part=None, **more):
    return source.read(source.schema(table), part or Part(), **more).read_all().to_pylist()


def parquet(table):
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def test_tables_schema_files_and_rows(place):
    place.put("orders.csv", b"id,day,price\n1,2024-01-01,2.5\n2,,\n")
    place.put("orders_gz.csv.gz", gzip.compress(b"id\n7\n"))
    place.put("lines/1.jsonl", b'{"id": 1, "tags": ["a"]}\n{"id": 2, "more": {"x": 1}}\n')
    place.put("lines/2.jsonl", b'{"id": 3}\n')
    place.put("p.parquet", parquet(pa.table({"id": [1, 2, 3], "at": [dt.datetime(2024, 1, 1)] * 3})))
    place.put("notes.docx", b"nothing of ours")
    with_source = place.open()
    assert [table.name for table in with_source.tables()] == ["lines", "orders", "orders_gz", "p"]
    assert with_source.schema("orders").columns == (
        Column("id", "INT64"), Column("day", "DATE"), Column("price", "FLOAT64"),
    )  # fmt: skip
    assert with_source.schema("lines").columns == (
        Column("id", "INT64"), Column("tags", "ARRAY<STRING>"), Column("more", "JSON"),
    )  # fmt: skip
    assert with_source.schema("p").rows == 3
    assert [file.name for file in with_source.files("lines")] == ["lines/1.jsonl", "lines/2.jsonl"]
    assert [file.size for file in with_source.files("lines")] == [53, 10]
    assert rows(with_source, "orders") == [
        {"id": 1, "day": dt.date(2024, 1, 1), "price": 2.5},
        {"id": 2, "day": None, "price": None},
    ]
    assert rows(with_source, "orders_gz") == [{"id": 7}]
    assert rows(with_source, "lines") == [
        {"id": 1, "tags": ["a"], "more": None},
        {"id": 2, "tags": None, "more": '{"x":1}'},
        {"id": 3, "tags": None, "more": None},
    ]
    assert [row["id"] for row in rows(with_source, "p")] == [1, 2, 3]
    assert with_source.estimate("orders") == 2
    assert with_source.preview("orders", 1).num_rows == 1
    with_source.close()


def test_patterns_reach_into_folders_and_stay_below(place):
    for name in ("a/2024/x.csv", "a/2024/07/y.csv", "a/2023/z.csv", "b/2024/x.csv", "a/2024/_SUCCESS", "a/2024/x.txt"):
        place.put(name, f"n\n{name}\n".encode())
    found = {}
    for pattern in ("a/**/*.csv", "a/2024/*", "*/2024/*.csv", "a/202[34]/?.csv", "**", "a/2024/**"):
        source = place.open(tables={"t": pattern})
        found[pattern] = [file.name for file in source.files("t")]
        source.close()
    assert found == {
        "a/**/*.csv": ["a/2023/z.csv", "a/2024/07/y.csv", "a/2024/x.csv"],
        "a/2024/*": ["a/2024/x.csv", "a/2024/x.txt"],
        "*/2024/*.csv": ["a/2024/x.csv", "b/2024/x.csv"],
        "a/202[34]/?.csv": ["a/2023/z.csv", "a/2024/x.csv"],
        "**": ["a/2023/z.csv", "a/2024/07/y.csv", "a/2024/x.csv", "a/2024/x.txt", "b/2024/x.csv"],
        "a/2024/**": ["a/2024/07/y.csv", "a/2024/x.csv", "a/2024/x.txt"],
    }
    for pattern in ("../secret/*.csv", "/etc/*", "a/../../x"):
        with pytest.raises(SourceError, match="stay below"):
            place.open(tables={"t": pattern}).files("t")
    with pytest.raises(SourceError, match=r"no file matches 'c/\*\.csv'"):
        place.open(tables={"t": "c/*.csv"}).files("t")


def test_hostile_names_of_files(place):
    names = [
        "it's.csv",
        "a b+c%20d.csv",
        "größe 👍.csv",
        "x[1]*.csv",
        "; DROP TABLE x; --.csv",
        "~.csv",
        "a&b=c?d#e.csv",
    ]
    for index, name in enumerate(names):
        place.put(name, f"n\n{index}\n".encode())
    source = place.open(tables={"t": "*"})
    assert [file.name for file in source.files("t")] == sorted(names)
    table = TableSchema("t", (Column("_source_file", "STRING"), Column("n", "INT64")))
    found = {row["_source_file"]: row["n"] for row in source.read(table).read_all().to_pylist()}
    assert found == {name: index for index, name in enumerate(names)}
    source.close()


def test_parts_name_their_files_and_rows_tell_theirs(place):
    for number in range(5):
        place.put(f"t/{number}.csv", f"n\n{number}\n".encode())
    source = place.open()
    table = TableSchema("t", (Column("n", "INT64"), Column("_source_file", "STRING")))
    found = source.read(table, Part(files=("t/3.csv", "t/1.csv"))).read_all().to_pylist()
    assert found == [{"n": 1, "_source_file": "t/1.csv"}, {"n": 3, "_source_file": "t/3.csv"}]
    with pytest.raises(SourceError, match=r"t/9\.csv is gone") as caught:
        source.read(table, Part(files=("t/9.csv",)))
    assert caught.value.transient
    source.close()


def test_a_file_that_changes_or_vanishes_is_an_error_that_passes(place):
    place.put("t/1.csv", b"n\n1\n")
    place.put("t/2.csv", b"n\n2\n")
    source = place.open()
    before = source.files("t")
    place.put("t/2.csv", b"n\n22\n")
    with pytest.raises(SourceError, match=r"t/2\.csv changed") as caught:
        source.read(TableSchema("t", (Column("n", "INT64"),)), Part(files=("t/1.csv", "t/2.csv"))).read_all()
    assert caught.value.transient
    # The next attempt looks anew.
    assert rows(source, "t", Part(files=("t/1.csv", "t/2.csv"))) == [{"n": 1}, {"n": 22}]
    after = source.files("t")
    assert (before[0], before[1].stamp == after[1].stamp) == (after[0], False)
    source.close()
    source = place.open()
    source.files("t")
    place.delete("t/2.csv")
    with pytest.raises(SourceError, match=r"t/2\.csv is gone") as caught:
        source.read(TableSchema("t", (Column("n", "INT64"),)), Part(files=("t/2.csv",))).read_all()
    assert caught.value.transient
    source.close()


def test_more_than_a_page_of_files(place):
    # The least page is the server's thousand.
    count = 1003 if place.kind != "gcs" else 1001
    for number in range(count):
        place.put(f"t/{number:04}.csv", b"n\n1\n")
    source = place.open()
    assert len(source.files("t")) == count
    assert source.estimate("t") == count
    assert source.read(TableSchema("t", (Column("n", "INT64"),))).read_all().num_rows == count
    source.close()


def test_large_tables_are_sampled_without_fetching_them(place, monkeypatch):
    from b2brecs.sources.files import describe, sample
    from b2brecs.sources.files import source as module

    monkeypatch.setattr(describe, "SEEN_BYTES", 1000)
    monkeypatch.setattr(sample, "PIECE_BYTES", 400)
    monkeypatch.setattr(module, "_PREVIEW_BYTES", 400)
    lines = "".join(f"{number},{number / 4},x{number}\n" for number in range(1000))
    place.put("t/1.csv", f"id,price,code\n{lines}".encode())
    place.put("t/2.csv", f"id,price,code,later\n{lines.replace(chr(10), ',7' + chr(10))}".encode())
    source = place.open()
    fetched = []
    fetch = type(source.tools.store).fetch

    def noted(self, file, into):
        fetched.append(file.name)
        return fetch(self, file, into)

    monkeypatch.setattr(
        type(source.tools.store),
        "fetch",
        noted,
    )
    assert [(c.name, c.type) for c in source.schema("t")] == [
        ("id", "INT64"), ("price", "FLOAT64"), ("code", "STRING"), ("later", "INT64"),
    ]  # fmt: skip
    assert source.preview("t", 3).num_rows == 3
    if place.kind != "files":
        assert fetched == []
    assert source.read(source.schema("t")).read_all().num_rows == 2000
    source.close()


def test_rejects_and_errors_name_the_file(place):
    place.put("t/1.csv", b"n,m\n1,2\n")
    place.put("t/2.csv", b"n,m\n3,4\nx,5\n1,2,3\n")
    source = place.open(types={"n": "INT64"})
    got: list = []
    assert rows(source, "t", on_reject=got.append) == [{"n": 1, "m": 2}, {"n": 3, "m": 4}]
    assert [(json.loads(item.row) if item.row[0] == "{" else item.row, item.column) for item in got] == [
        ({"n": "x", "m": "5"}, "n"), ("1,2,3", ""),
    ]  # fmt: skip
    assert all("t/2.csv" in item.reason for item in got)
    with pytest.raises(SourceError, match=r"t/2\.csv, line"):
        rows(source, "t")
    source.close()


def test_several_threads_read_at_once(place):
    for number in range(6):
        place.put(f"t/{number}.csv", b"n\n" + f"{number}\n".encode() * 500)
    source = place.open()
    table = source.schema("t")
    sums = {}

    def work(number):
        sums[number] = sum(source.read(table, Part(files=(f"t/{number}.csv",))).read_all().column("n").to_pylist())

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == {number: number * 500 for number in range(6)}
    source.close()


def test_a_connection_is_tested_and_a_wrong_one_says_what_to_fix(place):
    place.put("orders.csv", b"id\n1\n")
    assert "1 files" in place.open().test()
    if place.kind == "files":
        with pytest.raises(SourceError, match=r"no such folder.*path="):
            place.open(path=place.settings["path"] + "/nowhere").test()
        return
    holder = "container" if place.kind == "azure_blob" else "bucket"
    with pytest.raises(SourceError, match=rf"there is no {holder} 'nobody-has-this'.*Check {holder}="):
        place.open(**{holder: "nobody-has-this"}).test()
    with pytest.raises(SourceError, match=r"no folder 'nowhere/'.*Check prefix="):
        place.open(prefix="nowhere").test()
    with pytest.raises(NotFound, match="Did you mean 'orders'"):
        place.open().schema("order")
