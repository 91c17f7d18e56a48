"""Find the columns on which two tables join: by their names, and by what stands in them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from b2brecs.backends.protocols import Warehouse
from b2brecs.configs.dataset import Dataset
from b2brecs.display import Table
from b2brecs.naming import sanitise
from b2brecs.sql.dataset import aliased, name, table
from b2brecs.types import Column, TableSchema

_KEY_ENDINGS = ("id", "key", "code", "number", "no", "nr", "sku", "invoice")
_KEY_TYPES = frozenset({"STRING", "INT64", "DATE", "NUMERIC"})
_MINIMUM = 0.3


@dataclass(frozen=True)
class JoinSuggestion:
    """A join that the data supports.

    Attributes
    ----------
    confidence
        0 to 1, from names and data.
    match_rate
        Share of the left rows with a key whose key is found on the right.
    fan_out
        Right rows per distinct right key; above 1 the join multiplies rows.
    reasons
        What spoke for it.
    """

    left: str
    left_column: str
    right: str
    right_column: str
    confidence: float
    match_rate: float
    fan_out: float
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.left}.{self.left_column} = {self.right}.{self.right_column}"


@dataclass(frozen=True)
class JoinSuggestions:
    """Suggestions, the surest first."""

    items: tuple[JoinSuggestion, ...]

    def __iter__(self) -> Iterator[JoinSuggestion]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> JoinSuggestion:
        return self.items[index]

    def _table(self) -> Table:
        return Table(
            "Joins found",
            ["join", "confidence", "match %", "rows per key", "reasons"],
            [
                [
                    str(s),
                    round(s.confidence, 2),
                    round(100 * s.match_rate, 1),
                    round(s.fan_out, 2),
                    "; ".join(s.reasons),
                ]
                for s in self.items
            ],
        )

    def __repr__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table().to_html()


def suggest_joins(warehouse: Warehouse, tables: list[TableSchema]) -> JoinSuggestions:
    """Suggest joins between tables, from a table that refers to one that is referred to.

    The confidence is ``0.35 name + 0.45 containment + 0.2 uniqueness``: how alike the names are, the share of
    distinct left keys found on the right, and how near the right column is to a key.
    """
    found = []
    for left, right in itertools.permutations(tables, 2):
        best: JoinSuggestion | None = None
        for a, b in itertools.product(left.columns, right.columns):
            alike = _alike(a, b, right.name)
            if alike <= 0:
                continue
            each = _measure(warehouse, left, a, right, b, alike)
            if each is not None and (best is None or each.confidence > best.confidence):
                best = each
        if best is not None and best.confidence >= _MINIMUM:
            found.append(best)
    found.sort(key=lambda s: -s.confidence)
    kept: list[JoinSuggestion] = []
    for each in found:
        # Of a pair seen from both sides the one that does not multiply rows stays.
        if not any({each.left, each.right} == {other.left, other.right} for other in kept):
            kept.append(each)
    return JoinSuggestions(tuple(kept))


def join_found(warehouse: Warehouse, dataset: Dataset, tables: list[TableSchema], minimum: float = 0.6) -> Dataset:
    """Join tables to a dataset by the suggestions above a confidence, nearest first."""
    everything = [TableSchema(ref.name, ref.columns) for ref in dataset.tables] + tables
    suggestions = [s for s in suggest_joins(warehouse, everything) if s.confidence >= minimum]
    waiting = {each.name: each for each in tables}
    progress = True
    while waiting and progress:
        progress = False
        inside = {ref.alias for ref in dataset.tables}
        for s in suggestions:
            if s.left in inside and s.right in waiting:
                dataset = dataset.join(waiting.pop(s.right), on=(s.left_column, s.right_column), left=s.left)
                progress = True
                break
    return dataset


def _alike(a: Column, b: Column, right: str) -> float:
    """How alike two columns' names are, 0 to 1; 0 where types or names rule a join out."""
    if a.type != b.type or a.type not in _KEY_TYPES:
        return 0.0
    x, y = sanitise(a.name), sanitise(b.name)
    entity = sanitise(right).removesuffix("s")
    bare = [part.replace("_", "") for part in (x, y)]
    if bare[0] == bare[1]:
        return 1.0 if _is_key(y) else 0.6
    stems = [_stem(part) for part in (x, y)]
    if stems[0] and stems[0] == stems[1] and (_is_key(x) or _is_key(y)):
        return 0.8
    # order.customer_id = customer.id, sale.store_number = store.Store
    if (y in ("id", "key", "code", "number") or y == entity) and _stem(x) and entity.endswith(_stem(x)):
        return 0.8
    return 0.0


def _is_key(text: str) -> bool:
    return any(text == ending or text.endswith(ending) for ending in _KEY_ENDINGS)


def _stem(text: str) -> str:
    for ending in _KEY_ENDINGS:
        if text != ending and text.endswith(ending):
            return text.removesuffix(ending).strip("_")
    return text


def _measure(
    warehouse: Warehouse, left: TableSchema, a: Column, right: TableSchema, b: Column, alike: float
) -> JoinSuggestion | None:
    def keys(schema: TableSchema, column: Column) -> exp.Subquery:
        return (
            exp.select(aliased(name(column.name), "k"), aliased(exp.Count(this=exp.Star()), "n"))
            .from_(table(schema.name))
            .where(exp.Not(this=exp.Is(this=name(column.name), expression=exp.Null())))
            .group_by(name(column.name))
            .subquery(exp.to_identifier("l" if schema is left else "r", quoted=True))
        )

    matched = exp.Not(this=exp.Is(this=name("k", "r"), expression=exp.Null()))
    one_if = exp.Case(ifs=[exp.If(this=matched, true=exp.Literal.number(1))], default=exp.Literal.number(0))
    rows_if = exp.Case(ifs=[exp.If(this=matched.copy(), true=name("n", "l"))], default=exp.Literal.number(0))
    tree = (
        exp.select(
            aliased(exp.Count(this=exp.Star()), "distinct_left"),
            aliased(exp.Sum(this=one_if), "distinct_found"),
            aliased(exp.Sum(this=name("n", "l")), "rows_left"),
            aliased(exp.Sum(this=rows_if), "rows_found"),
        )
        .from_(keys(left, a))
        .join(keys(right, b), on=exp.EQ(this=name("k", "l"), expression=name("k", "r")), join_type="LEFT")
    )
    row = warehouse.query(tree).read_all().to_pylist()[0]
    sizes = exp.select(
        aliased(exp.Count(this=exp.Star()), "keys"), aliased(exp.Sum(this=name("n", "r")), "all_rows")
    ).from_(keys(right, b))
    size = warehouse.query(sizes).read_all().to_pylist()[0]
    if not row["distinct_left"] or not size["keys"]:
        return None
    containment = float(row["distinct_found"]) / row["distinct_left"]
    fan_out = float(size["all_rows"]) / size["keys"]
    unique = 1.0 / fan_out
    confidence = 0.35 * alike + 0.45 * containment + 0.2 * unique
    if fan_out > 1.5:
        # The right side is not a key: most likely the arrow points the other way.
        confidence *= 0.6
    reasons = [
        "same name" if alike == 1 else "names alike",
        f"{containment:.1%} of the keys found",
        "unique on the right" if fan_out == 1 else f"{fan_out:.1f} rows per key on the right",
    ]
    return JoinSuggestion(
        left.name, a.name, right.name, b.name, round(confidence, 4),
        float(row["rows_found"]) / float(row["rows_left"]), fan_out, tuple(reasons),
    )  # fmt: skip
