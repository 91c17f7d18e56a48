"""Folders of files: formats, types found by every value, and names that are awkward."""

import datetime as dt
import gzip
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from b2brecs import Connection
from b2brecs.errors import NotFound, SourceError
from b2brecs.sources import Part, Since, open_source


def opened(path, **settings):
    return open_source(Connection.files("f", path=path, **settings), lambda _: "")


def types(source, table):
    return {column.name: column.type for column in source.schema(table)}


def read(source, table, **kwargs):
    return source.read(source.schema(table), **kwargs).read_all().to_pylist()


def test_types_come_from_every_value(tmp_path):
    rows = ["code,qty,price,day,at,zoned,yes,late,nothing"]
    rows += ["12,1,2.5,2024-01-01,2024-01-01 10:00:00,2024-01-01T10:00:00+02:00,true,1,"] * 30_000
    rows += ["00123,-7,1e3,2024-12-31,2024-01-01 10:00,2024-01-01T10:00:00Z,false,x,"]
    (tmp_path / "a.csv").write_text("\n".join(rows))
    source = opened(tmp_path)
    assert types(source, "a") == {
        "code": "STRING", "qty": "INT64", "price": "FLOAT64", "day": "DATE", "at": "DATETIME", "zoned": "TIMESTAMP",
        "yes": "BOOL", "late": "STRING", "nothing": "STRING",
    }  # fmt: skip
    last = read(source, "a")[-1]
    assert last["code"] == "00123"
    assert last["zoned"] == dt.datetime(2024, 1, 1, 10, tzinfo=dt.UTC)
    assert last["yes"] is False
    assert read(source, "a")[0]["zoned"] == dt.datetime(2024, 1, 1, 8, tzinfo=dt.UTC)


def test_empty_text_and_null_stay_apart(tmp_path):
    (tmp_path / "a.csv").write_text('x,y\n"",1\n,2\n')
    assert read(opened(tmp_path), "a") == [{"x": "", "y": 1}, {"x": None, "y": 2}]


def test_every_format_and_compression(tmp_path):
    data = [{"id": 1, "name": "größe"}, {"id": 2, "name": 'a "quoted", line\nbreak'}]
    (tmp_path / "c.csv").write_text('id,name\n1,größe\n2,"a ""quoted"", line\nbreak"\n')
    (tmp_path / "z.csv.gz").write_bytes(gzip.compress((tmp_path / "c.csv").read_bytes()))
    (tmp_path / "j.json").write_text(json.dumps(data))
    (tmp_path / "l.jsonl").write_text("\n".join(map(json.dumps, data)))
    pq.write_table(pa.Table.from_pylist(data), tmp_path / "p.parquet")
    source = opened(tmp_path)
    for table in "czjlp":
        assert read(source, table) == data, table
    assert [t.name for t in source.tables()] == ["c", "j", "l", "p", "z"]


def test_delimiter_encoding_and_missing_header(tmp_path):
    (tmp_path / "a.csv").write_bytes("1;größe\n2;straße\n".encode("latin-1"))
    found = read(opened(tmp_path, delimiter=";", encoding="latin-1", header=False), "a")
    assert [list(row.values()) for row in found] == [[1, "größe"], [2, "straße"]]


def test_a_folder_and_a_pattern_are_one_table(tmp_path):
    (tmp_path / "sales").mkdir()
    for month in (1, 2):
        (tmp_path / "sales" / f"{month}.csv").write_text(f"m\n{month}\n")
    assert [row["m"] for row in read(opened(tmp_path), "sales")] == [1, 2]
    assert [row["m"] for row in read(opened(tmp_path, tables={"s": "sales/2*.csv"}), "s")] == [2]


def test_since_reads_from_the_boundary_and_keeps_nulls(tmp_path):
    (tmp_path / "a.csv").write_text("id,at\n1,2024-01-01\n2,2024-01-02\n3,\n4,2024-01-03\n")
    found = read(opened(tmp_path), "a", part=Part(since=Since("at", json.dumps("2024-01-02"))))
    assert sorted(row["id"] for row in found) == [2, 3, 4]


def test_what_is_missing_is_named(tmp_path):
    (tmp_path / "orders.csv").write_text("id\n1\n")
    with pytest.raises(NotFound, match="Did you mean 'orders'"):
        opened(tmp_path).schema("order")
    with pytest.raises(SourceError, match="no such folder"):
        opened(tmp_path / "nowhere").test()
    with pytest.raises(SourceError, match="no file matches"):
        opened(tmp_path, tables={"x": "*.parquet"}).schema("x")


@pytest.mark.parametrize("name", ['a "b"', "; DROP TABLE x; --", "select", "👍", "it's"])
def test_hostile_names_are_data(tmp_path, name):
    (tmp_path / f"{name}.csv").write_text('"' + name.replace('"', '""') + '",n\nv,1\n')
    source = opened(tmp_path)
    assert read(source, name) == [{name: "v", "n": 1}]
