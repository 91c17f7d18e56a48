"""The columns of a collection, from a sample of its documents: each field has the type that most of its values have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, cast

from b2brecs.errors import show
from b2brecs.sources.firestore_values import ID, column_of, kind_of
from b2brecs.types import Column, ColumnType

_COLUMN: dict[str, ColumnType] = {
    "string": "STRING", "reference": "STRING", "bool": "BOOL", "int": "INT64", "float": "FLOAT64",
    "timestamp": "TIMESTAMP", "bytes": "BYTES", "geopoint": "JSON", "map": "JSON", "vector": "JSON",
}  # fmt: skip
_ITEMS = frozenset({"string", "bool", "int", "float", "timestamp"})
# Of types that are equally frequent the first is taken: text and JSON hold everything.
_RANK = ("STRING", "JSON")
_EXACT = 2**53


@dataclass
class _Field:
    """What a sample's documents hold in one field."""

    kinds: Counter[str] = field(default_factory=Counter)
    items: set[str] = field(default_factory=set)
    large: bool = False

    def add(self, value: Any) -> None:
        kind = kind_of(value)
        self.kinds[kind] += 1
        if kind == "int":
            self._number(value)
        elif kind == "list":
            for item in value.array_value.values:
                inner = kind_of(item)
                self.items.add(inner)
                if inner == "int":
                    self._number(item)

    def _number(self, value: Any) -> None:
        self.large = self.large or abs(value.integer_value) > _EXACT

    def is_mixed(self) -> bool:
        """Say whether the values have several types that one column does not simply hold."""
        return len(self.shares()) > 1 or bool(self.kinds["int"] and self.kinds["float"] and self.large)

    def shares(self) -> Counter[ColumnType]:
        """Count the types that the values have, each by itself; whole numbers beside floats are floats."""
        shares: Counter[ColumnType] = Counter()
        mixed = self.kinds["int"] and self.kinds["float"]
        for kind, count in self.kinds.items():
            if kind == "null":
                continue
            if kind == "list":
                shares[self._list()] += count
            elif mixed and kind in ("int", "float"):
                # A float cannot hold every large number, text can.
                shares["STRING" if self.large else "FLOAT64"] += count
            else:
                shares[_COLUMN.get(kind, "STRING")] += count
        return shares

    def _list(self) -> ColumnType:
        if not self.items or not self.items <= _ITEMS:
            return "JSON"
        if self.items == {"int", "float"} and not self.large:
            return "ARRAY<FLOAT64>"
        if len(self.items) > 1:
            return "JSON"
        return cast("ColumnType", f"ARRAY<{_COLUMN[next(iter(self.items))]}>")


class Sample:
    """Documents of a collection, looked at one by one."""

    def __init__(self, documents: Iterable[Any]) -> None:
        self.count = 0
        self._fields: dict[str, _Field] = {}
        for document in documents:
            self.count += 1
            for name, value in document.fields.items():
                self._fields.setdefault(name, _Field()).add(value)

    def columns(self) -> tuple[Column, ...]:
        """Return the columns, ``document_id`` first, the fields by name. Any field may be missing."""
        columns = [Column(ID, "STRING", nullable=False)]
        columns += [Column(column_of(name), self._type(name)) for name in sorted(self._fields)]
        return tuple(columns)

    def notes(self) -> tuple[str, ...]:
        """Say of each field whose values have several types which they are, and what becomes of them."""
        return tuple(self._note(name) for name in sorted(self._fields) if self._fields[name].is_mixed())

    def _type(self, name: str) -> ColumnType:
        shares = self._fields[name].shares()
        if not shares:
            return "STRING"
        return min(shares, key=lambda kind: (-shares[kind], _RANK.index(kind) if kind in _RANK else len(_RANK), kind))

    def _note(self, name: str) -> str:
        kinds = self._fields[name].kinds
        counted = ", ".join(f"{count:,} {kind}" for kind, count in kinds.most_common() if kind != "null")
        taken, column = self._type(name), column_of(name)
        said = f"field {show(name)} has values of several types ({counted} in {self.count:,} documents) and is {taken}"
        if taken in _RANK:
            return f"{said}, which holds them all."
        return f"{said}; what does not fit is rejected. Say types={{{show(column)}: 'STRING'}} to keep everything."


__all__ = ["Sample"]
