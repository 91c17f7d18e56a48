"""Types found by values, types that are given, and what happens to values that do not fit."""

import datetime as dt
import json
from decimal import Decimal

import pytest

from b2brecs.errors import NotFound, SourceError
from b2brecs.sources import Part, Since
from b2brecs.sources.files import describe
from b2brecs.types import Column, TableSchema
from tests.sources.file_tools import opened, read, tried, types


def one_column(path, values, name="v"):
    path.write_text("\n".join(["k," + name, *(f"{index},{value}" for index, value in enumerate(values))]) + "\n")


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-7", "+3", "0", " 12 "], "INT64"),
        (["9223372036854775807", "-9223372036854775808"], "INT64"),
        (["9223372036854775808", "1"], "NUMERIC"),
        (["12345678901234567890123456789", "1"], "NUMERIC"),
        (["123456789012345678901234567890", "1"], "STRING"),
        (["1.5", "2", ".5", "3.", "1e3"], "FLOAT64"),
        (["0.1", "0.30000000000000004", "1e300"], "FLOAT64"),
        (["12345678901234.56", "1.5"], "FLOAT64"),
        (["123456789012345678.91", "1.5"], "NUMERIC"),
        (["0.12345678901234567890123", "1.5"], "FLOAT64"),
        (["1e400", "1"], "STRING"),
        (["nan", "1"], "STRING"),
        (["007", "12"], "STRING"),
        (["-01", "12"], "STRING"),
        (["00.5", "1.5"], "STRING"),
        (["0", "0.5", "-0"], "FLOAT64"),
        (["1_000", "2"], "STRING"),
        (["0x1F", "2"], "STRING"),
        (["1.234.5", "2"], "STRING"),
        (["2024-01-01", "2024-1-5", ""], "DATE"),
        (["2024-01-01", "2024-02-30"], "STRING"),
        (["2024-01-01", "2024-01-01 10:00"], "DATETIME"),
        (["2024-01-01T10:00:00.123456", "2024-01-01 10:00:00"], "DATETIME"),
        (["2024-01-01T10:00:00Z", "2024-01-01 10:00:00+02", "2024-01-01 10:00:00.5-0330"], "TIMESTAMP"),
        (["2024-01-01T10:00:00Z", "2024-01-01 10:00:00"], "STRING"),
        (["10:00", "36:00"], "STRING"),
        (["infinity", "2024-01-01"], "STRING"),
        (["true", "FALSE", "t"], "BOOL"),
        (["Yes", "no", "N"], "BOOL"),
        (["1", "true"], "STRING"),
        (["", ""], "STRING"),
        (["1", "x"], "STRING"),
    ],
)
def test_a_type_is_what_every_value_is(tmp_path, values, kind):
    one_column(tmp_path / "a.csv", values)
    source = opened(tmp_path)
    assert types(source, "a")["v"] == kind
    # And what it is, it can be read as.
    assert len(read(source, "a")) == len(values)


def test_one_late_value_decides(tmp_path):
    one_column(tmp_path / "a.csv", ["1"] * 100_000 + ["x"])
    assert types(opened(tmp_path), "a")["v"] == "STRING"
    one_column(tmp_path / "a.csv", ["1"] * 100_000 + ["2.5"])
    assert types(opened(tmp_path), "a")["v"] == "FLOAT64"


def test_values_are_exact(tmp_path):
    one_column(tmp_path / "a.csv", ["123456789012345678901.123456789", "-0.5"])
    assert [row["v"] for row in read(opened(tmp_path), "a")] == [
        Decimal("123456789012345678901.123456789"),
        Decimal("-0.5"),
    ]
    one_column(tmp_path / "a.csv", ["2024-01-01 10:00:00+02:00", "1969-12-31T23:59:59.999999Z"])
    assert [row["v"] for row in read(opened(tmp_path), "a")] == [
        dt.datetime(2024, 1, 1, 8, tzinfo=dt.UTC), dt.datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=dt.UTC),
    ]  # fmt: skip


GIVEN = [
    ("INT64", ["1", "007", "-5", "1.0", " 8 ", "0", "1234567890123456789"], [1, 7, -5, 1, 8, 0, 1234567890123456789],
     ["1.5", "x", "1e3", "99999999999999999999", "1_000", "0x1F", "true"]),
    ("FLOAT64", ["1", "007.5", "1e3", "nan", "-inf"], [1.0, 7.5, 1000.0, "nan", float("-inf")], ["x", "1e400", "1,5"]),
    ("NUMERIC", ["1.5", "007", "-.5", "0.1234567890"], [Decimal("1.5"), Decimal(7), Decimal("-.5"), Decimal("0.123456789")],
     ["0.1234567891", "1e3", "x", "1" + "0" * 29]),
    ("BIGNUMERIC", ["1" + "0" * 37, "0.0000000001"], ["1" + "0" * 37, "0.0000000001"], ["x", "1e3"]),
    ("BOOL", ["true", "0", "1", "T"], [True, False, True, True], ["2", "maybe"]),
    ("DATE", ["2024-01-01", "2024-1-5", "2024-01-01 00:00:00"], [dt.date(2024, 1, 1), dt.date(2024, 1, 5), dt.date(2024, 1, 1)],
     ["2024-01-01 10:00", "x", "2024-13-01"]),
    ("DATETIME", ["2024-01-01", "2024-01-01 10:00:00.5"], [dt.datetime(2024, 1, 1), dt.datetime(2024, 1, 1, 10, 0, 0, 500000)],
     ["2024-01-01 10:00:00+02:00", "2024-01-01T10:00:00Z", "x"]),
    ("TIMESTAMP", ["2024-01-01 10:00:00", "2024-01-01T10:00:00+02"],
     [dt.datetime(2024, 1, 1, 10, tzinfo=dt.UTC), dt.datetime(2024, 1, 1, 8, tzinfo=dt.UTC)], ["x", "12:00"]),
    ("TIME", ["10:00:00", "1:2:3.5"], [dt.time(10), dt.time(1, 2, 3, 500000)], ["24:00:00", "25:00:00", "x"]),
    ("STRING", ["x", "007"], ["x", "007"], []),
    ("JSON", ["1", "null", "true"], ["1", "null", "true"], ["x", "nope"]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "good", "values", "bad"), GIVEN, ids=[item[0] for item in GIVEN])
def test_a_given_type_is_obeyed_and_what_does_not_fit_is_rejected(tmp_path, kind, good, values, bad):
    (tmp_path / "c.csv").write_text("v,n\n" + "".join(f'"{value}",1\n' for value in [*good, *bad, ""]))
    (tmp_path / "j.jsonl").write_text("".join(json.dumps({"v": value, "n": 1}) + "\n" for value in [*good, *bad, None]))
    for table in "cj":
        if kind == "JSON" and table == "j":
            # In a JSON file everything is JSON.
            continue
        source = opened(tmp_path, types={"v": kind})
        found, rejects = tried(source, table)
        assert [str(row["v"]) if row["v"] != row["v"] else row["v"] for row in found] == [
            *values, "" if kind in ("STRING", "JSON") and table == "c" else None,
        ] if kind != "JSON" else [row["v"] for row in found] == values  # fmt: skip
        assert [json.loads(item.row)["v"] for item in rejects] == bad + ([""] if kind == "JSON" else [])
        assert {item.column for item in rejects} <= {"v"}
        # A schema that is passed in means the same as types of the connection.
        plain = opened(tmp_path)
        schema = TableSchema(table, (Column("v", kind), Column("n", "INT64")))
        again: list = []
        assert plain.read(schema, on_reject=again.append).read_all().num_rows == len(found)
        assert [item.row for item in again] == [item.row for item in rejects]
        if bad:
            with pytest.raises(
                SourceError, match=rf"{table}\.(csv|jsonl), line {len(good) + (2 if table == 'c' else 1)}, column 'v'"
            ):
                read(source, table)


def test_an_error_names_line_column_value_and_remedy(tmp_path):
    (tmp_path / "a.csv").write_text('id,qty,note\n1,2,"two\nlines"\n\n2,abc,x\n')
    with pytest.raises(
        SourceError, match=r"a\.csv, line 5, column 'qty': 'abc' is no INT64\. Say types=\{'qty': 'STRING'\}"
    ):
        read(opened(tmp_path, types={"qty": "INT64"}), "a")
    (tmp_path / "b.jsonl").write_text('{"qty": 1}\n\n{"qty": "abc"}\n')
    with pytest.raises(SourceError, match=r"b\.jsonl, line 3, column 'qty': 'abc'"):
        read(opened(tmp_path, types={"qty": "INT64"}), "b")
    (tmp_path / "c.json").write_text('[{"qty": 1},\n {"qty": [1]}]')
    with pytest.raises(SourceError, match=r"c\.json, value 2, column 'qty': '\[1\]'"):
        read(opened(tmp_path, types={"qty": "INT64"}), "c")


def test_the_line_is_found_among_rows_that_were_not_asked_for(tmp_path):
    lines = [f"2024-01-{day:02},{'x' if day == 20 else day}" for day in range(1, 31)]
    (tmp_path / "a.csv").write_text("day,n\n" + "\n".join(lines) + "\n")
    source = opened(tmp_path, types={"n": "INT64"})
    part = Part(since=Since("day", '"2024-01-10"'))
    with pytest.raises(SourceError, match="line 21, column 'n': 'x'"):
        read(source, "a", part)
    found, rejects = tried(source, "a", part)
    assert ([row["n"] for row in found], len(rejects)) == ([n for n in range(10, 31) if n != 20], 1)


def test_since_and_ranges_choose_rows(tmp_path):
    (tmp_path / "a.csv").write_text("id,at\n1,2024-01-01\n2,2024-01-02\n3,\n4,2024-01-03\n5,bad\n")
    source = opened(tmp_path, types={"at": "DATE"})

    def ids(**part):
        found, rejects = tried(source, "a", Part(**part))
        return [row["id"] for row in found], len(rejects)

    assert ids(since=Since("at", '"2024-01-02"')) == ([2, 3, 4], 1)
    assert ids(since=Since("at", None)) == ([1, 2, 3, 4], 1)
    assert ids(column="id", low="2", high="4") == ([2, 3], 0)
    assert ids(column="at", low='"2024-01-02"') == ([2, 4], 0)
    assert ids(column="at", high='"2024-01-02"', nulls=True) == ([1, 3], 1)
    assert ids(column="id", low="4", since=Since("at", '"2024-01-03"')) == ([4], 1)
    with pytest.raises(NotFound, match="'nope'"):
        ids(since=Since("nope", "1"))


def test_a_line_that_cannot_be_taken_apart_is_rejected_as_it_is(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'a,b\n1,2\n3\n4,5,6\n7,"x"y\n8,\xff\n9,10\n11,"never closed\n12,13\n')
    source = opened(tmp_path)
    found, rejects = tried(source, "a")
    assert found == [{"a": 1, "b": 2}, {"a": 9, "b": 10}]
    assert [(item.row, item.column) for item in rejects] == [
        ("3", ""), ("4,5,6", ""), ('7,"x"y', ""), ("8,?", ""), ('11,"never closed\n12,13\n', ""),
    ]  # fmt: skip
    assert [item.reason for item in rejects] == [
        "a.csv, line 3: there are fewer values than the 2 columns.",
        "a.csv, line 4: there are more values than the 2 columns.",
        "a.csv, line 5: a quote is not closed, or text follows it. Check quote=.",
        "a.csv, line 6: this is not UTF-8. Say encoding='latin-1', 'cp1252' or 'utf-16', whichever wrote the file.",
        "a.csv, line 8: a quote is not closed, or text follows it. Check quote=.",
    ]
    with pytest.raises(SourceError, match=r"a\.csv, line \d: "):
        read(source, "a")


def test_broken_lines_of_json(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"a": 1}\n{"a": 2\n[1]\n{"a": 3}\n"x"\n{"a": \xff}\n')
    source = opened(tmp_path)
    found, rejects = tried(source, "a")
    assert found == [{"a": 1}, {"a": 3}]
    assert [item.row for item in rejects] == ['{"a": 2', "[1]", '"x"', '{"a": ?}']
    with pytest.raises(SourceError, match=r"a\.jsonl, line [236]: this is not"):
        read(source, "a", Part())


def test_rejects_of_many_files_are_told_once_each(tmp_path):
    (tmp_path / "t").mkdir()
    for number in range(30):
        (tmp_path / "t" / f"{number:02}.csv").write_text(f"a,b\n{number},x\nbad,y\n1,2,3\n")
    source = opened(tmp_path, types={"a": "INT64"})
    rejects: list = []
    table = TableSchema("t", (Column("a", "INT64"), Column("_source_file", "STRING")))
    found = source.read(table, on_reject=rejects.append).read_all().to_pylist()
    assert found == [{"a": number, "_source_file": f"t/{number:02}.csv"} for number in range(30)]
    assert sorted(item.reason.partition(":")[0].partition(",")[0] for item in rejects) == sorted(
        [f"t/{number:02}.csv" for number in range(30)] * 2
    )
    with pytest.raises(SourceError, match=r"t/00\.csv, line [34]"):
        source.read(table).read_all()


def test_a_sample_decides_by_majority_and_codes_are_never_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(describe, "SEEN_BYTES", 10)
    rows = [f"{number},{number},{number / 2},x" for number in range(1000)]
    rows[500] = "00123,n/a,007.5,y"
    rows[600] = "abc,5,,z"
    (tmp_path / "a.csv").write_text("code,qty,price,s\n" + "\n".join(rows) + "\n")
    source = opened(tmp_path)
    # A code in the sample speaks against numbers, however rare it is.
    assert types(source, "a") == {"code": "STRING", "qty": "INT64", "price": "STRING", "s": "STRING"}
    schema = TableSchema("a", (Column("code", "INT64"), Column("qty", "INT64"), Column("price", "FLOAT64")))
    rejects: list = []
    assert source.read(schema, on_reject=rejects.append).read_all().num_rows == 998
    assert [(json.loads(item.row)["code"], item.column) for item in rejects] == [("00123", "code"), ("abc", "code")]
    assert "leading zeros" in rejects[0].reason
    assert "types={'code': 'STRING'}" not in rejects[0].reason
    with pytest.raises(
        SourceError, match=r"line 502, column 'code': '00123' has leading zeros.*types=\{'code': 'STRING'\}"
    ):
        source.read(schema).read_all()
    # Who says that it is a number is believed.
    told = opened(tmp_path, types={"code": "INT64", "price": "FLOAT64"})
    rejects = []
    found = told.read(schema, on_reject=rejects.append).read_all()
    assert [(item.column, json.loads(item.row)["code"]) for item in rejects] == [("qty", "00123"), ("code", "abc")]
    assert found.num_rows == 998


def test_a_sample_looks_at_beginning_middle_and_end_of_many_files(tmp_path, monkeypatch):
    monkeypatch.setattr(describe, "SEEN_BYTES", 10)
    (tmp_path / "t").mkdir()
    for number in range(50):
        (tmp_path / "t" / f"{number:02}.csv").write_text("a,b\n" + "1,2\n" * 10)
    (tmp_path / "t" / "49.csv").write_text("a,b,c\n" + "x,2,3\n" * 40)
    (tmp_path / "t" / "25.csv").write_text("a,b,d\n1,2,3\n")
    assert types(opened(tmp_path), "t") == {"a": "STRING", "b": "INT64", "d": "INT64", "c": "INT64"}
    inside = "k,v\n" + "1,2\n" * 1_000_000 + "1,x\n" * 400_000 + "1,2\n" * 1_000_000
    (tmp_path / "big.csv").write_text(inside)
    assert types(opened(tmp_path), "big") == {"k": "INT64", "v": "STRING"}
    (tmp_path / "big.jsonl").write_text('{"k": 1}\n' * 600_000 + '{"k": "x", "n": {}}\n' * 200_000)
    assert types(opened(tmp_path, tables={"j": "*.jsonl"}), "j") == {"k": "STRING", "n": "JSON"}


def test_names_of_columns_that_are_not_there(tmp_path):
    (tmp_path / "a.csv").write_text("id\n1\n")
    source = opened(tmp_path)
    source.schema("a")
    with pytest.raises(NotFound, match="Did you mean 'id'"):
        source.read(TableSchema("a", (Column("idd", "INT64"),)))


def test_estimates(tmp_path):
    (tmp_path / "c.csv").write_text("id,name\n" + "1,some name\n" * 200_000)
    (tmp_path / "j.jsonl").write_text('{"id": 1}\n' * 5000)
    (tmp_path / "l.json").write_text(json.dumps([{"id": 1}] * 5000))
    source = opened(tmp_path)
    assert source.estimate("c") == pytest.approx(200_000, rel=0.01)
    assert source.estimate("j") == 5000
    assert source.estimate("l") == pytest.approx(5000, rel=0.01)
    assert source.estimate("c", Since("id", "1")) is None
    assert source.estimate("c", Since("id", None)) == source.estimate("c")
