"""Files that are broken, huge, forbidden or made to harm: each is a sentence that names it, and costs no memory."""

import gzip
import os
import random
import threading
import tracemalloc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from b2brecs.errors import SourceError
from b2brecs.sources import Part
from b2brecs.sources.files import guard, scan
from b2brecs.types import Column, TableSchema
from tests.sources.file_tools import opened, read, tried, types

NUMBER = TableSchema("a", (Column("a", "INT64"),))


def refused(source, table="a"):
    """The sentence with which a table is refused; by its schema or its rows."""
    with pytest.raises(SourceError) as caught:
        source.read(source.schema(table)).read_all()
    return str(caught.value)


def test_invalid_utf8_names_file_line_and_remedy(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,x\n" + b"2,\xe4\n" * 3)
    assert "a.csv, line 3: this is not UTF-8. Say encoding='latin-1'" in refused(opened(tmp_path))
    (tmp_path / "h.csv").write_bytes(b"a,\xe4\n1,x\n")
    assert "h.csv, line 1: this is not UTF-8. Say encoding=" in refused(opened(tmp_path), "h")
    (tmp_path / "j.json").write_bytes(b'[{"a": 1}, {"a": "\xe4"}]')
    assert "j.json, value" in refused(opened(tmp_path), "j")
    assert read(opened(tmp_path, encoding="latin-1"), "a")[1] == {"a": 2, "b": "ä"}


@pytest.mark.parametrize(("ending", "line"), [("csv", b'"%s",1\n'), ("csv", b"%s,1\n"), ("jsonl", b'{"a": "%s"}\n')])
def test_a_line_that_never_ends(tmp_path, ending, line):
    small = b"a,b\nx,1\n" if ending == "csv" else b'{"a": "x"}\n'
    long = line % (b"x" * 20_000_000)
    (tmp_path / f"a.{ending}").write_bytes(small + long + small[4 if ending == "csv" else 0 :])
    (tmp_path / f"z.{ending}.gz").write_bytes(gzip.compress((tmp_path / f"a.{ending}").read_bytes()))
    source = opened(tmp_path)
    for table in "az":
        assert types(source, table)["a"] == "STRING"
        assert f"{table}.{ending}" in refused(source, table)
        assert "longer than 16 MB" in refused(source, table)
        found, rejects = tried(source, table)
        assert [row["a"] for row in found] == ["x", "x"]
        assert ["longer than" in item.reason for item in rejects] == [True]
        assert len(rejects[0].row) <= scan.SHOWN_BYTES


def bomb(path, body, megabytes):
    """Write a compressed file that holds one thing again and again."""
    block = body * (2**20 // len(body))
    with path.open("wb") as raw:
        if path.suffix == ".gz":
            with gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=9) as file:
                file.writelines([b"a\n", *[block] * megabytes])
        else:
            with pa.CompressedOutputStream(pa.PythonFile(raw), "zstd") as file:
                file.write(b"a\n")
                for _ in range(megabytes):
                    file.write(block)


@pytest.mark.parametrize("pack", ["gz", "zst"])
def test_a_zip_bomb(tmp_path, monkeypatch, pack):
    # Really large: nothing of it is kept.
    bomb(tmp_path / f"a.csv.{pack}", b"\n", 300)
    assert (tmp_path / f"a.csv.{pack}").stat().st_size < 2**20
    assert f"a.csv.{pack}: it grows to more than 300 times its size" in refused(opened(tmp_path))
    with pytest.raises(SourceError, match="grows to more than"):
        opened(tmp_path, types={"a": "INT64"}).read(NUMBER, on_reject=lambda _reject: None).read_all()
    monkeypatch.setattr(guard, "HARMLESS", 2**20)
    bomb(tmp_path / f"a.csv.{pack}", b"\0", 20)
    assert "NUL bytes" in refused(opened(tmp_path))
    bomb(tmp_path / f"a.csv.{pack}", b"123456789\n", 20)
    assert "grows to more than" in refused(opened(tmp_path))
    found = opened(tmp_path, max_expansion=100_000).read(NUMBER).read_all()
    assert found.num_rows == 20 * (2**20 // 10)


def test_a_small_file_may_grow_as_it_likes(tmp_path):
    data = b"a\n" + b"1\n" * 2**20
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(data, 9))
    assert len(data) > 300 * (tmp_path / "a.csv.gz").stat().st_size
    assert len(read(opened(tmp_path), "a")) == 2**20


def test_a_bomb_of_parquet(tmp_path, monkeypatch):
    monkeypatch.setattr("b2brecs.sources.files.parquet_files.HARMLESS", 2**20)
    table = pa.table({"a": ["x" * 1000 + str(number) for number in range(5000)]})
    pq.write_table(table, tmp_path / "a.parquet", compression="zstd", use_dictionary=False, compression_level=19)
    assert "a.parquet: it grows to more than 5 times its size" in refused(opened(tmp_path, max_expansion=5))


DAMAGES = {
    "half": (lambda data: data[: len(data) // 2], "cut off"),
    "end": (lambda data: data[:-4], "cut off"),
    "more": (lambda data: data + b"garbage!", "damaged"),
    # What has no sum of its own, as zstd here, cannot be told from other data.
    "sum": (lambda data: data[:-8] + b"xxxxxxxx", "damaged"),
    "middle": (lambda data: data[:500] + bytes(byte ^ 0x55 for byte in data[500:520]) + data[520:], "damaged"),
}


@pytest.mark.parametrize(
    ("pack", "kind"), [("gz", kind) for kind in DAMAGES] + [("zst", kind) for kind in ("half", "end", "more")]
)
@pytest.mark.parametrize("ending", ["csv", "jsonl", "json"])
def test_a_compressed_file_that_is_not_whole(tmp_path, pack, kind, ending):
    damage, said = DAMAGES[kind]
    numbers = random.Random(7)
    rows = [numbers.randrange(10**9) for _ in range(3000)]
    if ending == "csv":
        text = "a\n" + "\n".join(map(str, rows)) + "\n"
    elif ending == "jsonl":
        text = "".join(f'{{"a": {row}}}\n' for row in rows)
    else:
        text = "[" + ",\n".join(f'{{"a": {row}}}' for row in rows) + "]"
    data = gzip.compress(text.encode()) if pack == "gz" else pa.compress(text.encode(), "zstd", asbytes=True)
    (tmp_path / f"a.{ending}.{pack}").write_bytes(damage(data))
    message = refused(opened(tmp_path))
    assert f"a.{ending}.{pack}: the " in message
    assert said in message
    with pytest.raises(SourceError, match=r"file is (cut off|damaged)"):
        opened(tmp_path).read(NUMBER, on_reject=lambda _reject: None).read_all()


@pytest.mark.parametrize("text", ['[{"a": 1},', '[{"a": 1}', '[{"a": 1}, {"a": 2', "["])
def test_a_list_that_is_cut_off(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    assert "a.json: the list has no end" in refused(opened(tmp_path))


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", bytes(range(256)) * 100, "not text"),
        ("a.csv", b"PK\x03\x04" + bytes(100), "a ZIP or Excel file"),
        ("a.csv", b"PAR1" + bytes(100), "a Parquet file"),
        ("a.csv", b"%PDF-1.7\n", "a PDF file"),
        ("a.jsonl", bytes(range(256)) * 100, "not text"),
        ("a.csv", random.Random(1).randbytes(5000).replace(b"\0", b"x"), "a.csv"),
        ("a.parquet", b"a,b\n1,2\n", "no whole Parquet file"),
        ("a.parquet", b"PAR1" + bytes(100), "no whole Parquet file"),
        ("a.parquet", b"", "no whole Parquet file"),
        ("a.json", b"not json at all", "a.json"),
        ("a.json", b'{"a": 1} trailing', "a.json"),
        ("a.csv.gz", b"this is not gzip\n", ""),
    ],
)
def test_garbage(tmp_path, name, data, said):
    (tmp_path / name).write_bytes(data)
    source = opened(tmp_path)
    if not said:
        # A wrong ending does no harm.
        assert types(source, "a") == {"this is not gzip": "STRING"}
        return
    message = refused(source)
    assert said in message
    assert name in message
    assert len(message) < 500


def test_parquet_that_is_cut_or_changed(tmp_path):
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": list(range(100_000))}), sink, use_dictionary=False, write_page_checksum=True)
    data = sink.getvalue().to_pybytes()
    (tmp_path / "a.parquet").write_bytes(data[: len(data) // 2])
    assert "a.parquet: this is no whole Parquet file" in refused(opened(tmp_path))
    (tmp_path / "a.parquet").write_bytes(data[:2000] + bytes(5000) + data[7000:])
    assert "a.parquet cannot be read" in refused(opened(tmp_path))


def test_a_loop_of_links_ends(tmp_path):
    (tmp_path / "d" / "e").mkdir(parents=True)
    (tmp_path / "d" / "a.csv").write_text("a\n1\n")
    (tmp_path / "d" / "e" / "up").symlink_to(tmp_path / "d", target_is_directory=True)
    (tmp_path / "d" / "self").symlink_to(tmp_path / "d" / "self")
    (tmp_path / "d" / "nowhere.csv").symlink_to(tmp_path / "gone.csv")
    os.mkfifo(tmp_path / "d" / "pipe.csv")
    source = opened(tmp_path, tables={"a": "**/*.csv"})
    assert [file.name for file in source.files("a")] == ["d/a.csv"]
    assert read(source, "a") == [{"a": 1}]


def test_a_file_that_disappears_or_changes_during_the_reading(tmp_path):
    (tmp_path / "t").mkdir()
    rows = "a,b\n" + "1,xxxxxxxxxxxxxxxxxxxx\n" * 1_500_000
    for number in range(3):
        (tmp_path / "t" / f"{number}.csv").write_text(rows)
    source = opened(tmp_path)
    table = TableSchema("t", (Column("a", "INT64"),))
    reader = source.read(table)
    reader.read_next_batch()
    (tmp_path / "t" / "2.csv").unlink()
    with pytest.raises(SourceError, match=r"t/2\.csv is gone") as caught:
        reader.read_all()
    assert caught.value.transient
    reader = source.read(table)
    reader.read_next_batch()
    with (tmp_path / "t" / "1.csv").open("a") as file:
        file.write("2,y\n")
    with pytest.raises(SourceError, match=r"t/1\.csv changed") as caught:
        reader.read_all()
    assert caught.value.transient


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become nobody")
def test_what_may_not_be_read(tmp_path):
    for name in ("a.csv", "b.csv"):
        (tmp_path / name).write_text("a\n1\n")
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "c.csv").write_text("a\n1\n")
    (tmp_path / "a.csv").chmod(0)
    (tmp_path / "secret").chmod(0)
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == 0 and "pytest" in str(folder):
            folder.chmod(0o755)
    source, patterns = opened(tmp_path), opened(tmp_path, tables={"c": "secret/*.csv"})
    assert source.tools.spool.folder.exists()
    os.chown(source.tools.spool.folder, 65534, -1)
    os.chown(patterns.tools.spool.folder, 65534, -1)
    os.seteuid(65534)
    try:
        assert [table.name for table in source.tables()] == ["a", "b"]
        assert "a.csv may not be read. Give this user the right" in refused(source)
        assert read(source, "b") == [{"a": 1}]
        assert "secret may not be read" in refused(patterns, "c")
    finally:
        os.seteuid(0)


def test_files_whose_names_are_patterns_read_only_themselves(tmp_path):
    for name, number in (("*.csv", 1), ("x?.csv", 2), ("xy.csv", 3), ("[xy].csv", 4), ("{a,b}.csv", 5), ("a.csv", 6)):
        (tmp_path / name).write_text(f"n\n{number}\n")
    source = opened(tmp_path)
    assert {table: read(source, table)[0]["n"] for table in ("*", "x?", "xy", "[xy]", "{a,b}", "a")} == {
        "*": 1, "x?": 2, "xy": 3, "[xy]": 4, "{a,b}": 5, "a": 6,
    }  # fmt: skip


def test_a_name_that_is_not_utf8(tmp_path):
    with open(os.fsencode(tmp_path) + b"/\xff.csv", "wb") as file:
        file.write(b"a\n1\n")
    (tmp_path / "b.csv").write_text("a\n1\n")
    source = opened(tmp_path)
    assert read(source, "b") == [{"a": 1}]
    with pytest.raises(SourceError, match=r"name of '\\udcff\.csv' is not UTF-8"):
        opened(tmp_path, tables={"t": "*"}).schema("t")


def test_too_many_columns(tmp_path):
    (tmp_path / "a.csv").write_text(",".join(f"c{number}" for number in range(10_001)) + "\n")
    assert "more than 10,000 columns" in refused(opened(tmp_path))
    (tmp_path / "b.jsonl").write_text("".join(f'{{"k{number}": 1}}\n' for number in range(10_001)))
    assert "more than 10,000 columns" in refused(opened(tmp_path), "b")


def test_memory_does_not_grow_with_the_file(tmp_path):
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(b"a,b\n")
        for _ in range(100):
            file.write(b"1,xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n" * 20_000)
    source = opened(tmp_path)
    tracemalloc.start()
    before = pa.total_allocated_bytes()
    most = rows = 0
    for batch in source.read(TableSchema("a", (Column("a", "INT64"), Column("b", "STRING")))):
        rows += batch.num_rows
        most = max(most, pa.total_allocated_bytes() - before)
        del batch
    _, python = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert rows == 2_000_000
    assert most + python < 60 * 2**20


def test_what_was_given_out_is_not_given_again_when_a_bad_row_comes_late(tmp_path):
    good = "".join(f"{number},2024-01-01\n" for number in range(600_000))
    (tmp_path / "a.csv").write_text(f"a,day\n{good}x,2024-01-01\n1,2,3\n7,2024-01-01\n")
    source = opened(tmp_path, types={"a": "INT64", "day": "DATE"})
    schema = TableSchema("a", (Column("a", "INT64"), Column("day", "DATE")))
    for part in (Part(), Part(column="a", low="100000", nulls=True)):
        rejects: list = []
        found = source.read(schema, part, on_reject=rejects.append).read_all().column("a").to_pylist()
        low = 100_000 if part.column else 0
        assert found == list(range(low, 600_000)) + ([7] if not low else [])
        assert [item.column for item in rejects] == ["a", ""]


def test_closing_early_leaves_nothing(tmp_path):
    (tmp_path / "a.csv").write_text("a\n" + "1\n" * 1_000_000)
    source = opened(tmp_path)
    reader = source.read(NUMBER)
    reader.read_next_batch()
    reader.close()
    del reader
    folder = source.tools.spool.folder
    source.close()
    assert not folder.exists()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("b2brecs-fetch")]
    # A closed source opens again when it is asked.
    assert source.read(NUMBER).read_all().num_rows == 1_000_000
    source.close()
