"""Whether a dataset's parts hold together: every join, choice and filter leads to a column that is there."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from b2brecs.configs.filters import Filter
from b2brecs.configs.tables import Join, TableRef
from b2brecs.errors import Problem, nearest


def loose_ends(tables: Sequence[TableRef], joins: Sequence[Join], selected: Sequence[tuple[str, str]]) -> list[Problem]:
    """List joins and chosen columns that lead nowhere, and tables that are not joined exactly once."""
    columns = {table.alias: table.column_names for table in tables}
    found: list[Problem] = []

    def check(field: str, alias: str, column: str) -> None:
        if alias not in columns:
            found.append(Problem(field, repr(alias), "is not a table of this dataset.", nearest(alias, columns)))
        elif columns[alias] and column not in columns[alias]:
            hint = nearest(column, columns[alias])
            found.append(Problem(field, repr(column), f"is not a column of {alias!r}.", hint))

    for index, join in enumerate(joins):
        for here, there in join.on:
            check(f"joins[{index}].on", join.left, here)
            check(f"joins[{index}].on", join.right, there)
    for index, (alias, column) in enumerate(selected):
        check(f"selected[{index}]", alias, column)
    joined = [table.alias for table in tables[:1]] + [join.right for join in joins]
    if sorted(joined) != sorted(columns):
        problem = "each table but the first is joined once."
        found.append(Problem("joins", "", problem, "Remove the join and add it again."))
    return found


def lost_filters(filters: Sequence[Filter], names: Collection[str]) -> list[Problem]:
    """List filters on columns that are there no more."""
    found = []
    for index, item in enumerate(filters):
        column = getattr(item, "column", None)
        if column is not None and column not in names:
            fix = f"Remove the filter first: .without_filter({index + 1})."
            found.append(Problem(f"filters[{index}].column", repr(column), "is not a column any more.", fix))
    return found
