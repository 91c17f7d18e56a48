"""What is asked of changes before either warehouse makes them."""

from __future__ import annotations

import pytest

from b2brecs.backends.changes import bound, check_types, keys_of, listed, reshapes
from b2brecs.backends.protocols import Change, Staged
from b2brecs.errors import LoadError
from b2brecs.types import Column, TableSchema

ROWS = TableSchema("t", (Column("Id", "STRING", nullable=False), Column("tags", "ARRAY<STRING>", nullable=False)))


def of(mode: str = "merge", schema: TableSchema = ROWS, **more: object) -> Change:
    return Change(Staged("_b2b_stage_x", schema, 1), mode, **more)  # type: ignore[arg-type]


def test_one_change_is_a_list_of_one_and_targets_differ_in_more_than_case() -> None:
    assert listed(of()) == (of(),)
    assert listed(()) == ()
    with pytest.raises(LoadError, match="twice"):
        listed([of(), of(schema=TableSchema("T", ROWS.columns))])


def test_keys_are_spelled_as_the_rows_spell_them() -> None:
    assert keys_of(of(keys=("id",))) == ("Id",)
    assert keys_of(of("replace", keys=("ID",), removed=("a",))) == ("Id",)
    assert keys_of(of("append", keys=("whatever",))) == ()
    with pytest.raises(LoadError, match="Did you mean 'Id'"):
        keys_of(of(keys=("idd",)))
    with pytest.raises(LoadError, match="does not compare"):
        keys_of(of("refresh", keys=("tags",)))


@pytest.mark.parametrize(
    ("low", "text"),
    [
        ("1", "1"), ("-1.10", "-1.10"), ("123456789012345678901.5", "123456789012345678901.5"), ("true", "true"),
        ('"a\'\\u00fc"', "a'ü"), ("NaN", "NaN"), ("1e400", "1e400"),
    ],
)  # fmt: skip
def test_bounds_keep_every_digit(low: str, text: str) -> None:
    assert bound(low) == text


def test_all_types_that_changed_are_named() -> None:
    other = TableSchema("t", (Column("ID", "INT64"), Column("TAGS", "STRING"), Column("more", "DATE")))
    with pytest.raises(LoadError, match=r"ID is INT64 in the table and STRING.*; TAGS is STRING in the table"):
        check_types(ROWS, other)


def test_columns_are_compared_as_the_mode_needs_it() -> None:
    first, second = ROWS.columns
    loose = TableSchema("t", (Column("id", "STRING"), Column("tags", "ARRAY<STRING>")))
    turned = TableSchema("t", (second, first))
    assert not reshapes(of("swap"), ROWS)
    assert reshapes(of("swap"), turned)
    assert not reshapes(of("merge"), turned)
    # What is never NULL goes into a column that may be; not the other way round.
    assert not reshapes(of("merge"), loose)
    assert reshapes(of("merge", loose), ROWS)
    assert reshapes(of("append"), TableSchema("t", (first,)))
    arrays = TableSchema("t", (first, Column("tags", "ARRAY<STRING>")))
    assert reshapes(of("swap"), arrays)
    assert not reshapes(of("swap"), arrays, null_arrays=False)
