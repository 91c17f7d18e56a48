"""The schema builder: join tables, choose columns, give roles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import traitlets

from b2brecs.configs.code import Code, dataset_parts
from b2brecs.configs.dataset import Dataset
from b2brecs.errors import ConfigError, Problem
from b2brecs.types import NUMERIC_TYPES, TIME_TYPES, TableSchema
from b2brecs.widgets.base import ConfigWidget

_ROLE_TYPES = {
    "timestamp": sorted(TIME_TYPES),
    "revenue": sorted(NUMERIC_TYPES),
    "quantity": sorted(NUMERIC_TYPES),
}


class SchemaBuilder(ConfigWidget):
    """Edit a dataset's tables, joins, columns and roles on the page.

    Parameters
    ----------
    dataset
        Where to start; ``value`` is the edited one.
    tables
        Tables that can be joined. Those with the dataset's own names bring their number of rows.
    """

    BUNDLE: ClassVar[str] = "schema_builder"
    value = traitlets.Instance(Dataset, allow_none=False)

    def __init__(self, dataset: Dataset, tables: Iterable[TableSchema] = ()) -> None:
        self.tables = tuple(tables)
        super().__init__(dataset)

    def _read(self, draft: Mapping[str, Any]) -> Dataset:
        dataset = Dataset.from_dict(draft)
        wrong = [*dataset.structure(), *_roles(dataset)]
        if wrong:
            raise ConfigError(f"Dataset {dataset.name!r}", wrong)
        return dataset

    def _write(self, value: Dataset) -> dict[str, Any]:
        return value.to_dict()

    def _describe(self, value: Dataset) -> dict[str, Any]:
        aliases = {table.alias for table in value.tables}
        available = [
            {
                "name": table.name,
                "alias": table.name,
                "columns": [{"name": c.name, "type": c.type, "nullable": c.nullable} for c in table.columns],
            }
            for table in self.tables
            if table.name not in aliases
        ]
        return {
            "available": available,
            "rows": {table.name: table.rows for table in self.tables if table.rows is not None},
            "output": [[alias, column, name] for name, (alias, column) in value.sources().items()],
            "role_types": _ROLE_TYPES,
        }

    def _check(self, value: Dataset) -> Sequence[Problem]:
        return value.problems()

    def _codes(self, value: Dataset) -> Sequence[Code]:
        return (dataset_parts(value),)


def _roles(dataset: Dataset) -> list[Problem]:
    """List roles that their column cannot have; a role that is not set is merely unfinished."""
    given = {f"roles.{role}" for role, _ in dataset.role.items()}
    return [item for item in dataset.problems() if item.severity == "error" and item.field in given]
