"""Verbs on loaded tables and datasets: look, join, profile, preview."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from sqlglot import exp

from b2brecs.backends.protocols import Cost
from b2brecs.configs.dataset import Dataset
from b2brecs.configs.filters import Filter
from b2brecs.data.joins import JoinSuggestions, join_found, suggest_joins
from b2brecs.data.preview import preview
from b2brecs.data.profile import Profile, profile
from b2brecs.data.roles import suggest_roles
from b2brecs.data.what_if import WhatIf, what_if
from b2brecs.display import Table
from b2brecs.sql.dataset import rows, table
from b2brecs.types import TableSchema
from b2brecs.workspace.configs import ConfigVerbs, as_config

if TYPE_CHECKING:
    import pandas as pd


class DataVerbs(ConfigVerbs):
    """Verbs on loaded tables and datasets."""

    def tables(self) -> Table:
        """List the warehouse's tables."""
        found = [self.table(name) for name in self.home.warehouse.tables()]
        return Table("Tables", ["table", "rows", "columns"], [[t.name, t.rows, ", ".join(t.names)] for t in found])

    def table(self, name: str) -> TableSchema:
        """Return a loaded table's columns.

        Raises
        ------
        NotFound
            It is not in the warehouse.
        """
        return self.home.warehouse.schema(name)

    def dataset(self, name: str, primary: str, *others: str, minimum_confidence: float = 0.6) -> Dataset:
        """Start a dataset from a table, and join others to it where names and data agree.

        Parameters
        ----------
        primary
            The table with a row per purchase.
        others
            Tables to join, where a join of at least ``minimum_confidence`` is found; the rest are left out, and
            ``ws.suggest_joins`` shows why.
        """
        started = Dataset.over(name, self.table(primary))
        return join_found(self.home.warehouse, started, [self.table(other) for other in others], minimum_confidence)

    def suggest_joins(self, *tables: str) -> JoinSuggestions:
        """Suggest joins between tables, with the confidence and its reasons."""
        return suggest_joins(self.home.warehouse, [self.table(name) for name in tables])

    def suggest_roles(self, dataset: Dataset) -> dict[str, str]:
        """Suggest roles: ``dataset.roles(**ws.suggest_roles(dataset))``."""
        return suggest_roles(dataset)

    def sql(self, dataset: Dataset | str, *, dialect: str | None = None) -> str:
        """Return the dataset's query as text, in this warehouse's dialect by default."""
        tree = rows(as_config(Dataset, dataset, self))
        return tree.sql(dialect or self.home.warehouse.dialect, pretty=True)

    def estimate(self, dataset: Dataset | str) -> Cost:
        """Say what the dataset's query would read, without running it."""
        return self.home.warehouse.dry_run(rows(as_config(Dataset, dataset, self)))

    def what_if(self, dataset: Dataset | str, *filters: Filter) -> WhatIf:
        """Count what each filter of a dataset keeps of rows, buyers, products and revenue, and these besides."""
        return what_if(self.home.warehouse, as_config(Dataset, dataset, self), *filters)

    def profile(self, noun: Dataset | str) -> Profile:
        """Count a dataset's (or, by name, a table's) rows, NULLs and distinct values."""
        query, columns, title = self._query(noun)
        return profile(self.home.warehouse, query, columns, title)

    def preview(self, noun: Dataset | str, limit: int = 10, seed: int = 0) -> pd.DataFrame:
        """Return some rows of a dataset (or, by name, of a table), the same ones each time."""
        query, columns, _ = self._query(noun)
        return preview(self.home.warehouse, query, columns, limit=limit, seed=seed)

    def to_pandas(self, noun: Dataset | str) -> pd.DataFrame:
        """Return all rows of a dataset (or, by name, of a table)."""
        return cast("pd.DataFrame", self.home.warehouse.query(self._query(noun)[0]).read_all().to_pandas())

    def _query(self, noun: Dataset | str) -> tuple[exp.Query, Any, str]:
        if isinstance(noun, str):
            schema = self.table(noun)
            return exp.select("*").from_(table(noun)), schema.columns, f"table {noun}"
        return rows(noun), noun.output(), f"dataset {noun.name}"
