"""The query of a part: every row in exactly one part, bounds exact, names hostile."""

import itertools
import json
import sqlite3

import pytest
from sqlglot import exp, parse_one

from b2brecs.sources import Part, Since
from b2brecs.sources.select import column, literal, named, select_part

DIALECTS = ("postgres", "mysql", "sqlite", "bigquery")
HOSTILE = (
    '"; DROP TABLE x; --',
    "`; DROP TABLE x; --",
    "select",
    "UPPER",
    "it's",
    "back\\slash",
    "👍",
    "n" * 400,
    "a\nb",
)


def table(name="t"):
    return exp.Table(this=exp.to_identifier(name, quoted=True))


def text(part, dialect="postgres", kinds=None, **more):
    return select_part(table(), [column("a")], part, kinds or {}, dialect=dialect, **more).sql(dialect)


def test_the_whole_table_has_no_condition():
    for part in (Part(), Part(since=Since("at", None)), Part(column="id", nulls=True)):
        assert text(part) == 'SELECT "a" FROM "t"'


def test_bounds_are_cast_to_the_native_type():
    part = Part(Since("at", '"2024-01-01"'), "id", "-5", "7", nulls=False)
    assert text(part, kinds={"at": "timestamptz", "id": "int8"}) == (
        'SELECT "a" FROM "t" WHERE ("at" >= CAST(\'2024-01-01\' AS TIMESTAMPTZ) OR "at" IS NULL) '
        "AND (\"id\" >= CAST('-5' AS BIGINT) AND \"id\" < CAST('7' AS BIGINT))"
    )


def test_a_schema_and_an_order_are_kept():
    inside = exp.Table(this=exp.to_identifier("t", quoted=True), db=exp.to_identifier("S", quoted=True))
    query = select_part(
        inside, [named(column("x"), 'a"b')], Part(column="id", nulls=True), {}, dialect="bigquery", ordered=True
    )
    assert query.sql("bigquery") == 'SELECT `x` AS `a"b` FROM `S`.`t` ORDER BY `id` NULLS LAST'


def test_bounds_without_a_column_are_refused():
    with pytest.raises(ValueError, match="needs a column"):
        text(Part(low="1"))


@pytest.mark.parametrize("bad", ["null", "[1]", '{"a": 1}', "", "1 OR 1=1"])
def test_what_is_no_bound_is_refused(bad):
    with pytest.raises(ValueError):
        literal(bad, "int8", "postgres")


def test_digits_pass_as_they_are_written():
    digits = "12345678901234567890.12345678901234567890"
    assert literal(digits, "numeric", "postgres").this.name == digits
    assert literal(digits, None, "sqlite").sql("sqlite") == digits
    assert literal("9223372036854775807", None, "sqlite").sql("sqlite") == "9223372036854775807"
    assert literal('"9"', None, "sqlite").sql("sqlite") == "'9'"
    assert literal("true", "bool", "postgres").sql("postgres") == "TRUE"


def test_mysql_gets_times_without_a_zone():
    assert literal('"2024-03-31T02:30:00.5+02:00"', "DATETIME(6)", "mysql").this.name == "2024-03-31 00:30:00.500000"
    assert literal('"2024-03-31T02:30:00"', "DATETIME(6)", "mysql").this.name == "2024-03-31 02:30:00"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_and_values_come_back_as_they_went_in(dialect, name):
    part = Part(Since(name, json.dumps(name)), name, json.dumps(name))
    query = select_part(table(name), [column(name)], part, {}, dialect=dialect)
    again = parse_one(query.sql(dialect), dialect=dialect)
    assert {c.name for c in again.find_all(exp.Column)} == {name}
    assert {v.this for v in again.find_all(exp.Literal)} == {name}
    assert [t.name for t in again.find_all(exp.Table)] == [name]


KEYS = [None, None, -3, -3, 0, 1, 5, 5, 9, 100]


@pytest.fixture
def rows():
    connection = sqlite3.connect(":memory:")
    connection.execute('CREATE TABLE "t" ("a" INTEGER, "id" INTEGER, "at" TEXT)')
    times = [None, "b", "a", None, "c", "b", "a", "c", None, "b"]
    connection.executemany('INSERT INTO "t" VALUES (?, ?, ?)', zip(range(10), KEYS, times, strict=True))
    yield lambda part: [row[0] for row in connection.execute(text(part, "sqlite"))]
    connection.close()


@pytest.mark.parametrize("cuts", [[], [0], [-3, 5], [-100, -3, 0, 1, 5, 5, 9, 1000]])
@pytest.mark.parametrize("nulls_in", ["first", "last", "own"])
def test_parts_cover_every_row_once(rows, cuts, nulls_in):
    bounds = [None, *map(str, cuts), None]
    parts = [Part(column="id", low=low, high=high, nulls=False) for low, high in itertools.pairwise(bounds)]
    if nulls_in == "own":
        found = [row for part in parts for row in rows(part)]
        assert sorted(found) == list(range(2, 10))
        return
    chosen = 0 if nulls_in == "first" else -1
    last = parts[chosen]
    parts[chosen] = Part(column="id", low=last.low, high=last.high, nulls=True)
    assert sorted(row for part in parts for row in rows(part)) == list(range(10))


def test_since_keeps_the_boundary_and_nulls_within_a_range(rows):
    assert sorted(rows(Part(since=Since("at", '"b"')))) == [0, 1, 3, 4, 5, 7, 8, 9]
    assert sorted(rows(Part(Since("at", '"b"'), "id", "0", "9"))) == [4, 5, 7]
    assert sorted(rows(Part(Since("at", '"c"'), "id", "0", "9", nulls=True))) == [0, 4, 7]
    assert sorted(rows(Part(Since("id", "5")))) == [0, 1, 6, 7, 8, 9]
