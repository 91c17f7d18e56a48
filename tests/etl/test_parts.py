"""Every row and every file is in exactly one part, whatever the bounds; and the choice of what reads them."""

import dataclasses
import datetime as dt
import itertools
import json
import pickle
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from b2brecs.configs.etl import Engine
from b2brecs.etl.parts import LEAST_ROWS, Choice, choose, cut, cut_files, is_remote
from b2brecs.sources.base import KeyRange, Part, Since, SourceFile

UTC = dt.UTC
# A busy machine is no fault.
PATIENTLY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
MANY = 100 * LEAST_ROWS

NUMERIC = st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**28), max_value=10**28)
VALUES = {
    "INT64": st.integers(-(2**63), 2**63 - 1),
    "NUMERIC": NUMERIC,
    "DATE": st.dates(),
    "DATETIME": st.datetimes(),
    "TIMESTAMP": st.datetimes(timezones=st.just(UTC)),
    "STRING": st.text(max_size=4),
}
SMALL = {**VALUES, "INT64": st.integers(-3, 3), "DATE": st.dates(dt.date(2024, 1, 1), dt.date(2024, 1, 4))}


def text(value):
    if isinstance(value, dt.date):
        return json.dumps(value.isoformat())
    return json.dumps(str(value) if isinstance(value, Decimal) else value)


def read(kind, bound):
    value = json.loads(bound)
    if kind == "NUMERIC":
        return Decimal(str(value))
    if kind == "DATE":
        return dt.date.fromisoformat(value)
    return dt.datetime.fromisoformat(value) if kind in ("DATETIME", "TIMESTAMP") else value


def holds(part, kind, value):
    """What a source promises of a part."""
    if part.column is None:
        return True
    if value is None:
        return part.nulls
    return (part.low is None or value >= read(kind, part.low)) and (part.high is None or value < read(kind, part.high))


@pytest.mark.parametrize("values", [VALUES, SMALL], ids=["wide", "narrow"])
@pytest.mark.parametrize("kind", list(VALUES))
@PATIENTLY
@given(data=st.data())
def test_every_value_is_in_exactly_one_part(kind, values, data):
    bounds = sorted(data.draw(st.lists(values[kind], min_size=2, max_size=12)))
    found = KeyRange("k", kind, tuple(map(text, bounds)), data.draw(st.booleans()), MANY)
    parts = cut(found, data.draw(st.integers(1, 20)))
    assert 1 <= len(parts) <= 20
    near = [read(kind, bound) for part in parts for bound in (part.low, part.high) if bound is not None]
    for value in (*bounds, *near, *data.draw(st.lists(VALUES[kind], max_size=8))):
        assert [holds(part, kind, value) for part in parts].count(True) == 1, value
    assert [part.nulls for part in parts].count(True) == (found.nullable and len(parts) > 1)
    # A cut at or below the least value would make an empty part.
    assert all(bound > bounds[0] for bound in near)
    assert len({part.low for part in parts}) == len(parts)


@PATIENTLY
@given(
    bounds=st.lists(st.one_of(VALUES["INT64"], st.text(max_size=3), st.none(), st.floats(), st.booleans()), max_size=9),
    kind=st.sampled_from(["INT64", "NUMERIC", "DATE", "DATETIME", "TIMESTAMP", "FLOAT64", "BYTES"]),
    value=VALUES["INT64"],
)
def test_bounds_that_make_no_sense_lose_no_row(bounds, kind, value):
    parts = cut(KeyRange("k", kind, tuple(map(json.dumps, bounds)), nullable=True, rows=MANY), 5)
    assert [part.nulls or part.column is None for part in parts].count(True) == 1
    if kind in ("INT64", "NUMERIC"):
        assert [holds(part, "NUMERIC", Decimal(value)) for part in parts].count(True) == 1


@PATIENTLY
@given(low=st.integers(-(10**12), 10**12), span=st.integers(1000, 10**12), wanted=st.integers(2, 20))
def test_numbers_are_cut_evenly_between_the_ends(low, span, wanted):
    parts = cut(KeyRange("k", "INT64", (str(low), str(low + span - 1)), nullable=False, rows=MANY), wanted)
    edges = [low, *(int(part.low or 0) for part in parts[1:]), low + span]
    sizes = [b - a for a, b in itertools.pairwise(edges)]
    assert len(parts) == wanted
    assert max(sizes) - min(sizes) <= 1
    assert parts[0].low is None
    assert parts[-1].high is None


def test_times_are_cut_between_the_ends_in_the_form_they_came_in():
    def lows(kind, *bounds):
        return [json.loads(p.low or "") for p in cut(KeyRange("t", kind, bounds, nullable=False, rows=MANY), 2)[1:]]

    assert lows("DATE", '"2024-01-01"', '"2024-01-10"') == ["2024-01-06"]
    assert lows("DATETIME", '"2024-01-01T00:00:00"', '"2024-01-02T23:59:59.999999"') == ["2024-01-02T00:00:00"]
    assert lows("TIMESTAMP", '"2024-01-01T01:00:00+01:00"', '"2024-01-01T01:59:59.999999+00:00"') == [
        "2024-01-01T01:00:00+00:00"
    ]
    assert lows("NUMERIC", '"0.5"', '"1.5"') == ["1"]
    assert lows("NUMERIC", "0", "3") == [1.5]
    assert lows("INT64", '"0"', '"99"') == ["50"]


def test_given_bounds_are_used_and_uneven_ones_are_balanced():
    quartiles = ("0", "1", "2", "1000", "1000000")
    parts = cut(KeyRange("k", "INT64", quartiles, nullable=False, rows=MANY), 4)
    assert [part.low for part in parts] == [None, "1", "2", "1000"]
    assert [p.low for p in cut(KeyRange("k", "INT64", quartiles, nullable=False, rows=MANY), 2)] == [None, "2"]
    skewed = ("0", "0", "0", "0", "0", "7", "8", "9", "10")
    assert [p.low for p in cut(KeyRange("k", "INT64", skewed, nullable=False, rows=MANY), 4)] == [None, "7", "8"]
    words = ('"a"', '"Ä"', '"b"', '"b"', '"z"')
    assert [p.low for p in cut(KeyRange("k", "STRING", words, nullable=False, rows=MANY), 9)] == [None, '"Ä"', '"b"']


@pytest.mark.parametrize(
    ("kind", "bounds"),
    [
        ("STRING", ('"a"', '"z"')),
        ("INT64", ("5", "5", "5")),
        ("INT64", ("5",)),
        ("INT64", ()),
        ("STRING", ()),
        ("INT64", ("0", "0", "0", "9")),
        ("TIMESTAMP", ('"-infinity"', '"infinity"')),
        ("FLOAT64", ("0", "1")),
    ],
)
def test_what_cannot_be_cut_stays_whole(kind, bounds):
    since = Since("at", '"2024-01-01"')
    whole = cut(KeyRange("k", kind, bounds, nullable=True, rows=MANY), 8, since=since, snapshot="s")
    assert whole == (Part(since=since, snapshot="s"),)


@pytest.mark.parametrize(("rows", "parts"), [(0, 1), (LEAST_ROWS, 1), (3 * LEAST_ROWS, 3), (MANY, 8)])
def test_few_rows_make_few_parts(rows, parts):
    assert len(cut(KeyRange("k", "INT64", ("0", "1000000"), nullable=True, rows=rows), 8)) == parts


def test_parts_carry_since_and_snapshot_and_travel():
    since = Since("at", '"2024-01-01"')
    found = KeyRange('"; DROP TABLE x; --', "INT64", ("0", "99"), nullable=True, rows=MANY)
    parts = cut(found, 3, since=since, snapshot="s-1")
    assert {part.since for part in parts} == {since}
    assert {part.snapshot for part in parts} == {"s-1"}
    assert pickle.loads(pickle.dumps(parts)) == parts
    for part in (*parts, *cut_files([SourceFile("a", 1, ""), SourceFile("b", 2, "")], 2)):
        plain = json.loads(json.dumps(dataclasses.asdict(part)))
        back = Part(**{**plain, "files": tuple(plain["files"]), "since": plain["since"] and Since(**plain["since"])})
        assert back == part


@PATIENTLY
@given(
    sizes=st.dictionaries(st.text(min_size=1, max_size=6), st.integers(0, 10**12), max_size=30),
    wanted=st.integers(1, 12),
)
def test_every_file_is_in_exactly_one_part(sizes, wanted):
    parts = cut_files([SourceFile(name, size, "x") for name, size in sizes.items()], wanted)
    assert sorted(name for part in parts for name in part.files) == sorted(sizes)
    # A part without names would be the whole table.
    assert all(part.files for part in parts)
    assert len(parts) == min(wanted, len(sizes))
    if parts:
        loads = [sum(sizes[name] for name in part.files) for part in parts]
        assert max(loads) <= sum(loads) / len(loads) + max(sizes.values())


def test_files_are_dealt_out_by_size():
    files = [SourceFile(f"f{number}", size, "") for number, size in enumerate([1, 50, 30, 20, 1])]
    assert {part.files for part in cut_files(files, 2)} == {("f0", "f1"), ("f2", "f3", "f4")}
    assert cut_files([], 3) == ()


FLOW = {"options": {"runner": "DataflowRunner"}}


@pytest.mark.parametrize(
    ("engine", "estimate", "given", "choice"),
    [
        ({}, 3_200_000, {}, Choice("local", 2, "about 3,200,000 rows, read here in 2 parts: no Beam runner is configured")),
        ({"options": {"runner": "FnApiRunner"}}, 3_200_000, {}, Choice("local", 2, "about 3,200,000 rows, read here in 2 parts: no Beam runner is configured")),
        (FLOW, 3_200_000, {}, Choice("beam", 12, "about 3,200,000 rows, read by DataflowRunner in 12 parts")),
        (FLOW, 1_000_000, {}, Choice("beam", 4, "about 1,000,000 rows, read by DataflowRunner in 4 parts")),
        (FLOW, 999_999, {}, Choice("local", 2, "about 999,999 rows, read here in 2 parts: Beam begins at 1,000,000")),
        (FLOW, None, {}, Choice("local", 2, "an unknown number of rows, read here in 2 parts: their number is not known beforehand")),
        (FLOW, 3_200_000, {"beam_available": False}, Choice("local", 2, "about 3,200,000 rows, read here in 2 parts: Apache Beam is not installed")),
        (FLOW, 3_200_000, {"distributable": False}, Choice("local", 2, "about 3,200,000 rows, read here in 2 parts: other machines cannot reach the source")),
        ({"mode": "local", **FLOW}, 9_000_000, {"processors": 64}, Choice("local", 4, "about 9,000,000 rows, read here in 4 parts: as asked")),
        ({"mode": "local", "parallel": 9}, 9_000_000, {}, Choice("local", 9, "about 9,000,000 rows, read here in 9 parts: as asked")),
        ({"parallel": 9}, 1, {}, Choice("local", 1, "about 1 row, read here in 1 part: Beam begins at 1,000,000")),
        ({"mode": "beam"}, 10, {"beam_available": False, "distributable": False}, Choice("beam", 1, "about 10 rows, read by Beam on this machine in 1 part: as asked")),
        ({"mode": "beam", "parallel": 7, **FLOW}, None, {}, Choice("beam", 7, "an unknown number of rows, read by DataflowRunner in 7 parts: as asked")),
        ({"mode": "beam", **FLOW}, 10**12, {}, Choice("beam", 256, "about 1,000,000,000,000 rows, read by DataflowRunner in 256 parts: as asked")),
        ({"threshold": 5, **FLOW}, 5, {}, Choice("beam", 1, "about 5 rows, read by DataflowRunner in 1 part")),
    ],
)  # fmt: skip
def test_the_choice_says_why(engine, estimate, given, choice):
    given = {"beam_available": True, "distributable": True, "processors": 2, **given}
    assert choose(Engine(**engine), estimate, **given) == choice


@pytest.mark.parametrize(
    ("runner", "remote"),
    [
        ("", False), ("DirectRunner", False), ("FnApiRunner", False), ("fnapirunner", False), ("PrismRunner", False),
        ("direct", False), ("apache_beam.runners.direct.DirectRunner", False), ("DataflowRunner", True),
        ("FlinkRunner", True), ("flink", True), ("PortableRunner", True), ("my.own.Runner", True), ("my.ClusterRunner", True),
    ],
)  # fmt: skip
def test_which_runners_work_elsewhere(runner, remote):
    assert is_remote(runner) is remote
