"""Every way to write a file: CSV of all kinds, JSON in all shapes, Parquet of all types."""

import codecs
import datetime as dt
import gzip
import json
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from b2brecs.errors import SourceError
from b2brecs.types import Column, TableSchema
from tests.sources.file_tools import opened, read, tried, types


def zstd(data):
    return pa.compress(data, "zstd", asbytes=True)


@pytest.mark.parametrize(
    ("encoding", "written"),
    [
        ("utf-8", "größe €".encode()),
        ("utf-8", codecs.BOM_UTF8 + "größe €".encode()),
        ("utf-8", "größe €".encode("utf-16")),
        ("utf-16", "größe €".encode("utf-16")),
        ("utf-16-le", "größe €".encode("utf-16-le")),
        ("utf-16-be", codecs.BOM_UTF16_BE + "größe €".encode("utf-16-be")),
        ("cp1252", "größe €".encode("cp1252")),
        ("latin-1", "größe".encode("latin-1")),
        ("cp437", "größe".encode("cp437")),
        ("latin-1", codecs.BOM_UTF8 + "größe".encode()),
        ("utf_8_sig", codecs.BOM_UTF8 + "größe".encode()),
    ],
)
def test_encodings(tmp_path, encoding, written):
    mark = (
        written[:3]
        if written.startswith(codecs.BOM_UTF8)
        else written[:2]
        if written[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
        else b""
    )
    kind = (
        "utf-8"
        if mark == codecs.BOM_UTF8
        else "utf-16-be"
        if mark == codecs.BOM_UTF16_BE
        else "utf-16-le"
        if mark
        else encoding
    )
    text = written[len(mark) :].decode(kind)
    data = mark + f"id,{text}\n1,{text}\n2,x\n".encode(kind)
    (tmp_path / "plain.csv").write_bytes(data)
    (tmp_path / "gz.csv.gz").write_bytes(gzip.compress(data))
    (tmp_path / "zst.csv.zst").write_bytes(zstd(data))
    source = opened(tmp_path, encoding=encoding)
    for table in ("plain", "gz", "zst"):
        assert read(source, table) == [{"id": 1, text: text}, {"id": 2, text: "x"}], table
    folder = source.tools.spool.folder
    assert list(folder.iterdir()) == []
    source.close()
    assert not folder.exists()


def test_unknown_and_wrong_encodings(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"id,n\n1,a\x81b\n")
    with pytest.raises(SourceError, match="no encoding 'klingon'"):
        opened(tmp_path, encoding="klingon").schema("a")
    with pytest.raises(SourceError, match=r"a\.csv: byte 8 is not cp1252.*Check encoding="):
        opened(tmp_path, encoding="cp1252").schema("a")


def test_delimiters_quotes_and_compression_without_endings(tmp_path):
    (tmp_path / "tabs.tsv").write_text("a\tb\n1\tx,y\n")
    (tmp_path / "packed.tsv.gz").write_bytes(gzip.compress(b"a\tb\n1\tx,y\n"))
    source = opened(tmp_path)
    assert read(source, "tabs") == read(source, "packed") == [{"a": 1, "b": "x,y"}]
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "pipes.dat").write_text("a|b\n1|'x|''y'''\n")
    (tmp_path / "odd" / "nameless").write_bytes(gzip.compress(b"a|b\n2|z\n"))
    odd = opened(tmp_path / "odd", format="csv", delimiter="|", quote="'")
    assert [table.name for table in odd.tables()] == ["nameless", "pipes"]
    assert read(odd, "pipes") == [{"a": 1, "b": "x|'y'"}]
    assert read(odd, "nameless") == [{"a": 2, "b": "z"}]
    assert read(opened(tmp_path / "odd", delimiter="|", quote="'", tables={"all": "*"}), "all") == [
        {"a": 2, "b": "z"}, {"a": 1, "b": "x|'y'"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "a,b\r\n1,2\r\n3,4\r\n", "a,b\r1,2\r3,4\r", "a,b\n1,2\n3,4", "\n\na,b\n1,2\n\n3,4\n\n", "\r\na,b\r\n1,2\r\n3,4",
        "a,b\n1,2\r\n3,4\n", "a,b\r\n1,2\n3,4\r\n", "a,b\n1,2,\n3,4\n",
    ],
)  # fmt: skip
def test_line_ends_and_blank_lines(tmp_path, text):
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert read(opened(tmp_path), "a") == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]


def test_mixed_line_ends_deep_in_a_file_give_every_row_once(tmp_path):
    # So much that rows have been given out before the line that DuckDB stumbles over.
    many = 400_000
    (tmp_path / "a.csv").write_bytes(b"a,b\n" + b"1,x\n" * many + b"2,y\r\n" + b"3,z\n" * many)
    found = opened(tmp_path).read(TableSchema("a", (Column("a", "INT64"),))).read_all().column("a")
    assert (len(found), sum(found.to_pylist())) == (2 * many + 1, many + 2 + 3 * many)


def test_headers_that_are_missing_double_or_strange(tmp_path):
    (tmp_path / "none.csv").write_text("1,x\n2,y\n")
    assert types(opened(tmp_path, header=False), "none") == {"column_0": "INT64", "column_1": "STRING"}
    assert read(opened(tmp_path, header=False), "none")[0] == {"column_0": 1, "column_1": "x"}
    (tmp_path / "twice.csv").write_text('a,a,,A, ,"x\ny",a\n1,2,3,4,5,6,7\n')
    assert read(opened(tmp_path), "twice") == [
        {"a": 1, "a_2": 2, "column_2": 3, "A": 4, "column_4": 5, "x\ny": 6, "a_3": 7}
    ]
    (tmp_path / "only.csv").write_text("a,b\n")
    source = opened(tmp_path)
    assert types(source, "only") == {"a": "STRING", "b": "STRING"}
    assert read(source, "only") == []
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(SourceError, match="'empty' are empty"):
        opened(tmp_path).schema("empty")


@pytest.mark.parametrize(
    "name",
    ['"; DROP TABLE x; --', "x" * 400, "👍", "select", "a\nb", "a'b", "$.a", "f0", "c0", "b2b_path", "a\\b", "wrong"],
)
def test_hostile_column_names(tmp_path, name):
    quoted = '"' + name.replace('"', '""') + '"'
    (tmp_path / "c.csv").write_text(f"{quoted},n\nv,1\n")
    (tmp_path / "j.jsonl").write_text(json.dumps({name: "v", "n": 1}))
    (tmp_path / "l.json").write_text(json.dumps([{name: "v", "n": 1}]))
    pq.write_table(pa.table({name: ["v"], "n": [1]}), tmp_path / "p.parquet")
    source = opened(tmp_path)
    for table in "cjlp":
        assert types(source, table) == {name: "STRING", "n": "INT64"}
        assert read(source, table) == [{name: "v", "n": 1}], table


def test_empty_text_beside_null(tmp_path):
    (tmp_path / "a.csv").write_text('s,n,d\n"","",""\n,,\n"x","1","2024-01-01"\n')
    assert read(opened(tmp_path), "a") == [
        {"s": "", "n": None, "d": None},
        {"s": None, "n": None, "d": None},
        {"s": "x", "n": 1, "d": dt.date(2024, 1, 1)},
    ]
    (tmp_path / "one.csv").write_text('s\n\nx\n""\n')
    assert [row["s"] for row in read(opened(tmp_path), "one")] == [None, "x", ""]


def test_files_of_one_table_differ_in_columns(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "1.csv").write_text("id,price\n1,2.5\n")
    (tmp_path / "t" / "2.csv").write_text("new,ID\nx,2\n")
    (tmp_path / "t" / "3.csv").write_text("price,new,id\n4,y,3\n")
    source = opened(tmp_path)
    assert types(source, "t") == {"id": "INT64", "price": "FLOAT64", "new": "STRING"}
    assert read(source, "t") == [
        {"id": 1, "price": 2.5, "new": None},
        {"id": 2, "price": None, "new": "x"},
        {"id": 3, "price": 4.0, "new": "y"},
    ]
    (tmp_path / "p").mkdir()
    pq.write_table(pa.table({"a": pa.array([1], pa.int32()), "n": pa.nulls(1)}), tmp_path / "p" / "1.parquet")
    pq.write_table(pa.table({"a": [2**40], "b": ["x"], "n": [1.5]}), tmp_path / "p" / "2.parquet")
    pq.write_table(pa.table({"b": ["y"], "a": [0.5]}), tmp_path / "p" / "3.parquet")
    source = opened(tmp_path)
    assert types(source, "p") == {"a": "FLOAT64", "n": "FLOAT64", "b": "STRING"}
    assert read(source, "p") == [
        {"a": 1.0, "n": None, "b": None}, {"a": 2.0**40, "n": 1.5, "b": "x"}, {"a": 0.5, "n": None, "b": "y"},
    ]  # fmt: skip


JSON_ROWS = [{"id": 1, "s": "größe", "o": {"k": [1, 2]}}, {"id": 2, "s": None, "new": True}]


def packed(data: bytes, pack: str) -> bytes:
    return gzip.compress(data) if pack == ".gz" else zstd(data) if pack == ".zst" else data


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.jsonl", "\n".join(map(json.dumps, JSON_ROWS))),
        ("a.ndjson", "\r\n".join(map(json.dumps, JSON_ROWS)) + "\r\n\r\n"),
        ("a.json", "\n".join(map(json.dumps, JSON_ROWS))),
        ("a.json", json.dumps(JSON_ROWS)),
        ("a.json", json.dumps(JSON_ROWS, indent=2)),
        ("a.json", "\ufeff \n" + json.dumps(JSON_ROWS)),
        ("a.json", "\n".join(json.dumps(row, indent=2) for row in JSON_ROWS)),
        ("a.jsonl", "\ufeff" + "\n \n\n".join(map(json.dumps, JSON_ROWS))),
    ],
)
@pytest.mark.parametrize("pack", ["", ".gz", ".zst"])
def test_shapes_of_json(tmp_path, name, text, pack):
    data = text.encode()
    (tmp_path / f"{name}{pack}").write_bytes(packed(data, pack))
    source = opened(tmp_path)
    assert types(source, "a") == {"id": "INT64", "s": "STRING", "o": "JSON", "new": "BOOL"}
    assert read(source, "a") == [
        {"id": 1, "s": "größe", "o": '{"k":[1,2]}', "new": None},
        {"id": 2, "s": None, "o": None, "new": True},
    ]


def test_values_of_json_are_kept(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"big": 12345678901234567890, "huge": 1234567890123456789012345678901234567890, "far": 1e400, "code": "007",'
        ' "obj": {"k": 1, "k": 2, "z": 1.50, "n": 12345678901234567890123}, "tags": ["a", "b"], "ints": [1, 2],'
        ' "mixed": [1, "a"], "holes": [1, null], "objs": [{"x": null}], "day": "2024-02-29", "at": "2024-01-01T10:00:00Z",'
        ' "text": "{\\"x\\":1}", "same": 1, "same": 2, "Key": 1, "key": 2, "a/b~c": 3, "none": null, "flag": false}\n'
        '{"big": 1, "huge": 2, "far": 3, "code": "12", "tags": [], "ints": null, "obj": "plain", "day": null}\n'
    )
    source = opened(tmp_path)
    assert types(source, "a") == {
        "big": "NUMERIC", "huge": "STRING", "far": "STRING", "code": "STRING", "obj": "JSON", "tags": "ARRAY<STRING>",
        "ints": "ARRAY<INT64>", "mixed": "JSON", "holes": "JSON", "objs": "JSON", "day": "DATE", "at": "TIMESTAMP",
        "text": "STRING", "same": "INT64", "Key": "INT64", "key": "INT64", "a/b~c": "INT64", "none": "STRING",
        "flag": "BOOL",
    }  # fmt: skip
    first, second = read(source, "a")
    assert first == {
        "big": Decimal(12345678901234567890), "huge": "1234567890123456789012345678901234567890", "far": "1e400",
        "code": "007", "obj": '{"k":1,"k":2,"z":1.5,"n":12345678901234567890123}', "tags": ["a", "b"], "ints": [1, 2],
        "mixed": '[1,"a"]', "holes": "[1,null]", "objs": '[{"x":null}]', "day": dt.date(2024, 2, 29),
        "at": dt.datetime(2024, 1, 1, 10, tzinfo=dt.UTC), "text": '{"x":1}', "same": 1, "Key": 1, "key": 2, "a/b~c": 3,
        "none": None, "flag": False,
    }  # fmt: skip
    assert (second["obj"], second["tags"], second["far"]) == ('"plain"', [], "3")


def test_types_of_parquet(tmp_path):
    table = pa.table({
        "u64": pa.array([2**64 - 1, None], pa.uint64()),
        "wide": pa.array([Decimal("12345678901234567890123456789012345.12"), None], pa.decimal256(76, 2)),
        "long": pa.array([Decimal("12345678901234567890.123456789012345678"), None], pa.decimal128(38, 18)),
        "money": pa.array([Decimal("1.10"), None], pa.decimal128(12, 2)),
        "ns": pa.array([1700000000123456789, None], pa.timestamp("ns")),
        "zoned": pa.array([1700000000123456, None], pa.timestamp("us", tz="Europe/Berlin")),
        "time": pa.array([3_600_000_000, None], pa.time64("us")),
        "small": pa.array([1.5, None], pa.float16()),
        "dict": pa.array(["a", None]).dictionary_encode(),
        "none": pa.nulls(2),
        "struct": pa.array([{"a": 1, "b": [{"c": Decimal("1.50")}], "t": '{"x":1}'}, None]),
        "map": pa.array([[("k", 1), ("z", 2)], None], pa.map_(pa.string(), pa.int64())),
        "tags": pa.array([["a", "b"], None], pa.list_(pa.string())),
        "ints": pa.array([[1, 2], []], pa.list_(pa.int32())),
        "structs": pa.array([[{"x": 1}], None]),
        "lists": pa.array([[[1], [2]], None]),
        "bin": pa.array([b"\xff\x00", None]),
        "dur": pa.array([5, None], pa.duration("s")),
        "day": pa.array([dt.date(2024, 2, 29), None]),
        "flag": pa.array([True, None]),
        "json": pa.array(['{"a":1}', None]),
    })  # fmt: skip
    pq.write_table(table, tmp_path / "p.parquet")
    source = opened(tmp_path)
    assert types(source, "p") == {
        "u64": "NUMERIC", "wide": "STRING", "long": "BIGNUMERIC", "money": "NUMERIC", "ns": "DATETIME",
        "zoned": "TIMESTAMP", "time": "TIME", "small": "FLOAT64", "dict": "STRING", "none": "STRING", "struct": "JSON",
        "map": "JSON", "tags": "ARRAY<STRING>", "ints": "ARRAY<INT64>", "structs": "JSON", "lists": "JSON",
        "bin": "BYTES", "dur": "INT64", "day": "DATE", "flag": "BOOL", "json": "STRING",
    }  # fmt: skip
    first, second = read(source, "p")
    assert first == {
        "u64": Decimal(2**64 - 1), "wide": "12345678901234567890123456789012345.12",
        "long": "12345678901234567890.123456789012345678", "money": Decimal("1.100000000"),
        "ns": dt.datetime(2023, 11, 14, 22, 13, 20, 123456),
        "zoned": dt.datetime(2023, 11, 14, 22, 13, 20, 123456, tzinfo=dt.UTC), "time": dt.time(1), "small": 1.5,
        "dict": "a", "none": None, "struct": '{"a":1,"b":[{"c":1.5}],"t":"{\\"x\\":1}"}', "map": '{"k":1,"z":2}',
        "tags": ["a", "b"], "ints": [1, 2], "structs": '[{"x":1}]', "lists": "[[1],[2]]", "bin": b"\xff\x00", "dur": 5,
        "day": dt.date(2024, 2, 29), "flag": True, "json": '{"a":1}',
    }  # fmt: skip
    assert {name for name, value in second.items() if value is not None} == {"ints"}


def test_parquet_read_as_other_types_loses_nothing(tmp_path):
    pq.write_table(
        pa.table({
            "f": [1.0, 1.5, float("nan"), 2.0**60], "i": [1, 2**60 + 1, 3, 4], "s": ["1", "x", "2.5", None],
            "b": [b"text", b"\xff", None, b""], "d": [Decimal("1.5"), Decimal("2.0"), Decimal("3.0"), None],
        }),
        tmp_path / "p.parquet",
    )  # fmt: skip

    def fitting(name, kind):
        source = opened(tmp_path)
        rejects: list = []
        found = source.read(TableSchema("p", (Column(name, kind),)), on_reject=rejects.append).read_all()
        return [row[name] for row in found.to_pylist()], [json.loads(item.row)[name] for item in rejects]

    assert fitting("f", "INT64") == ([1, 2**60], ["1.5", "nan"])
    assert fitting("i", "FLOAT64") == ([1.0, 3.0, 4.0], [str(2**60 + 1)])
    assert fitting("s", "INT64") == ([1, None], ["x", "2.5"])
    assert fitting("s", "FLOAT64") == ([1.0, 2.5, None], ["x"])
    assert fitting("b", "STRING")[0] == ["text", None, ""]
    assert fitting("d", "INT64") == ([2, 3, None], ["1.5"])
    assert fitting("i", "STRING") == (["1", str(2**60 + 1), "3", "4"], [])
    assert fitting("i", "JSON") == (["1", str(2**60 + 1), "3", "4"], [])


def test_columns_that_parquet_tells_apart_by_case(tmp_path):
    pq.write_table(pa.table([[1], [2], [3]], names=["Id", "id", "ID"]), tmp_path / "p.parquet")
    assert read(opened(tmp_path), "p") == [{"Id": 1, "id": 2, "ID": 3}]


def test_a_table_of_several_formats_is_refused(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "1.csv").write_text("a\n1\n")
    (tmp_path / "t" / "2.json").write_text('{"a": 1}')
    source = opened(tmp_path)
    assert source.tables() == []
    with pytest.raises(SourceError, match="mixes csv and json files"):
        source.schema("t")
    assert read(opened(tmp_path, tables={"t": "t/*.csv"}), "t") == [{"a": 1}]


def test_only_some_columns_and_the_files_name(tmp_path):
    (tmp_path / "t").mkdir()
    for number in (1, 2):
        (tmp_path / "t" / f"{number}.csv").write_text(f"a,b\n{number},x\n{number},y\n")
        (tmp_path / "t" / f"{number}.jsonl").write_text(f'{{"a": {number}}}\n{{"a": {number}}}\n')
        pq.write_table(pa.table({"a": [number] * 2}), tmp_path / "t" / f"{number}.parquet")
    for ending in ("csv", "jsonl", "parquet"):
        source = opened(tmp_path, tables={"t": f"t/*.{ending}"})
        both = TableSchema("t", (Column("_source_file", "STRING"), Column("a", "INT64")))
        assert source.read(both).read_all().to_pylist() == [
            {"_source_file": f"t/{number}.{ending}", "a": number} for number in (1, 1, 2, 2)
        ]
        alone = TableSchema("t", (Column("_source_file", "STRING"),))
        assert source.read(alone).read_all().column(0).to_pylist() == [
            f"t/{number}.{ending}" for number in (1, 1, 2, 2)
        ]


def test_batches_are_small_and_in_order(tmp_path):
    (tmp_path / "a.csv").write_text("n\n" + "".join(f"{number}\n" for number in range(200_000)))
    reader = opened(tmp_path).read(TableSchema("a", (Column("n", "INT64"),)))
    batches = list(reader)
    assert max(batch.num_rows for batch in batches) <= 65_536
    assert [value for batch in batches for value in batch.column(0).to_pylist()] == list(range(200_000))


def test_an_empty_list_and_an_empty_file_of_json(tmp_path):
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "1.json").write_text("[]")
    (tmp_path / "t" / "2.json").write_text("")
    (tmp_path / "t" / "3.json").write_text('[{"a": 1}]')
    source = opened(tmp_path)
    assert tried(source, "t") == ([{"a": 1}], [])
