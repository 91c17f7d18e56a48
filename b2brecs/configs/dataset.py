"""Which rows and columns a recommender trains on: tables, joins, roles, filters. Configuration only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, field_validator

from b2brecs import context
from b2brecs.configs.filtered import Filtered
from b2brecs.configs.filters import Filter
from b2brecs.configs.integrity import loose_ends, lost_filters
from b2brecs.configs.tables import ROLES, Computed, Join, JoinType, Roles, TableRef, Text, pairs_of, reference
from b2brecs.errors import ConfigError, Problem, nearest
from b2brecs.naming import output_names
from b2brecs.types import NUMERIC_TYPES, TIME_TYPES, Column, ColumnType, TableSchema

__all__ = ["ROLES", "Computed", "Dataset", "Join", "JoinType", "Roles", "TableRef"]


class Dataset(Filtered):
    """Training rows as configuration: it compiles to one query and never copies a table.

    Start from a table (``ws.dataset(...)`` brings the tables' schemas along, so that wrong columns are
    refused at once), then chain.

    Examples
    --------
    >>> from b2brecs.types import TableSchema
    >>> lines = TableSchema("lines", (Column("sku", "STRING"), Column("buyer", "STRING"), Column("day", "DATE")))
    >>> items = TableSchema("items", (Column("sku", "STRING"), Column("title", "STRING")))
    >>> ds = Dataset.over("sales", lines).join(items, on="sku").roles(user="buyer", product="sku", timestamp="day")
    >>> [column.name for column in ds.output()]
    ['sku', 'buyer', 'day', 'items_sku', 'title']
    """

    KIND: ClassVar[str] = "dataset"
    tables: Annotated[tuple[TableRef, ...], Field(min_length=1)]
    joins: tuple[Join, ...] = ()
    selected: tuple[tuple[Text, Text], ...] = ()
    renamed: tuple[tuple[Text, Text, Text], ...] = ()
    computed: tuple[Computed, ...] = ()

    def __init__(self, name: str | None = None, /, **fields: Any) -> None:
        super().__init__(name, **fields)

    @field_validator("tables", mode="after")
    @classmethod
    def _aliases_differ(cls, tables: tuple[TableRef, ...]) -> tuple[TableRef, ...]:
        seen: set[str] = set()
        for table in tables:
            if table.alias in seen:
                raise ConfigError.single("", "", table.alias, "two tables have this alias.", "Give as_= another one.")
            seen.add(table.alias)
        return tables

    @classmethod
    def over(cls, name: str, table: TableSchema | str, *, as_: str | None = None, description: str = "") -> Dataset:
        """Start a dataset from its primary table."""
        return cls(name, tables=(reference(table, as_),), description=description)

    # -- reading -----------------------------------------------------------------------------------

    @property
    def known(self) -> bool:
        """Whether every table's columns are known."""
        return all(table.columns for table in self.tables)

    def table(self, alias: str) -> TableRef:
        """Return a table by alias."""
        for table in self.tables:
            if table.alias == alias:
                return table
        raise self._error("table", alias, "is not a table of this dataset.", nearest(alias, self._alias_list()))

    def sources(self) -> dict[str, tuple[str, str]]:
        """Output name → (alias, column), of the columns that come from tables, in output order."""
        pairs = [(table.alias, table.column_names) for table in self.tables]
        if self.selected:
            pairs = [
                (alias, tuple(column for column in names if (alias, column) in self.selected)) for alias, names in pairs
            ]
        names = output_names(pairs)
        renames = {(alias, column): new for alias, column, new in self.renamed}
        return {renames.get(key, name): key for key, name in names.items()}

    def output(self) -> tuple[Column, ...]:
        """Return the columns of the result, in order, by the one naming rule."""
        found = []
        for name, (alias, column) in self.sources().items():
            described = next(item for item in self.table(alias).columns if item.name == column)
            found.append(Column(name, described.type, described.nullable))
        found += [Column(item.name, item.type) for item in self.computed]
        return tuple(found)

    # -- building ----------------------------------------------------------------------------------

    def join(
        self,
        table: TableSchema | str,
        *,
        on: str | tuple[str, str] | Iterable[str | tuple[str, str]] | Mapping[str, str],
        left: str | None = None,
        how: JoinType = "left",
        as_: str | None = None,
    ) -> Self:
        """Join a table.

        Parameters
        ----------
        on
            Column of both; or (left column, right column); or several of either; or ``{left: right}``.
        left
            Alias of the table to join to; default: the first that has the column.
        how
            ``left``, ``inner``, ``right`` or ``full``.
        as_
            Alias, for joining a table twice.

        Raises
        ------
        ConfigError
            Unknown column or alias, or the alias is taken.
        """
        right = reference(table, as_)
        pairs = pairs_of(on)
        anchor = left if left is not None else self._holder(pairs[0][0])
        for here, there in pairs:
            self._must_have(self.table(anchor), here, "on")
            self._must_have(right, there, "on")
        return self.changed(
            tables=(*self.tables, right),
            joins=(*self.joins, Join(left=anchor, right=right.alias, on=pairs, how=how)),
        )

    def without_join(self, alias: str) -> Self:
        """Remove a joined table, and those that hang on it."""
        self.table(alias)
        gone = {alias}
        for join in self.joins:
            if join.left in gone:
                gone.add(join.right)
        return self.changed(
            tables=[table for table in self.tables if table.alias not in gone],
            joins=[join for join in self.joins if join.right not in gone],
            selected=[pair for pair in self.selected if pair[0] not in gone],
            renamed=[item for item in self.renamed if item[0] not in gone],
        )

    def select(self, *columns: str) -> Self:
        """Keep these columns only (output names, or ``alias.column``); computed ones always stay."""
        chosen = [self._locate(column) for column in columns]
        return self.changed(selected=chosen)

    def rename(self, **names: str) -> Self:
        """Rename output columns: ``rename(stock_code="sku")``."""
        dataset = self
        for old, new in names.items():
            alias, column = dataset._locate(old)
            if any(item.name == new for item in dataset.output()):
                raise self._error(f"rename.{old}", new, "is already a column.", "Choose another name.")
            kept = [item for item in dataset.renamed if item[:2] != (alias, column)]
            dataset = dataset.changed(renamed=[*kept, (alias, column, new)])
        return dataset

    def compute(self, name: str, expression: str, *, type: ColumnType = "FLOAT64") -> Self:  # noqa: A002
        """Add a column by an SQL expression over output columns; it is parsed, checked and quoted, never pasted."""
        if self.known and any(column.name == name for column in self.output()):
            raise self._error("compute.name", name, "is already a column.", "Choose another name.")
        return self.changed(computed=(*self.computed, Computed(name=name, expression=expression, type=type)))

    def roles(
        self,
        *,
        user: str | None = None,
        product: str | None = None,
        timestamp: str | None = None,
        revenue: str | None = None,
        quantity: str | None = None,
    ) -> Self:
        """Say which columns are the buyer, the product, the time, the revenue and the quantity.

        Raises
        ------
        ConfigError
            A column does not exist or has the wrong type for its role.
        """
        asked = {"user": user, "product": product, "timestamp": timestamp, "revenue": revenue, "quantity": quantity}
        given = {role: column for role, column in asked.items() if column is not None}
        problems = []
        for role, column in given.items():
            problems += self._role_problems(role, column)
        if problems:
            raise ConfigError(self._title(), problems)
        return self.changed(role=self.role.changed(**given))

    # -- checking ----------------------------------------------------------------------------------

    def structure(self) -> list[Problem]:
        """List joins, chosen columns and filters that lead nowhere."""
        found = loose_ends(self.tables, self.joins, self.selected)
        if self.known and not found:
            found += lost_filters(self.filters, [column.name for column in self.output()])
        return found

    def problems(self) -> list[Problem]:
        found = self.structure()
        if found:
            return found
        for role in ("user", "product", "timestamp"):
            if getattr(self.role, role) is None:
                found.append(Problem(f"roles.{role}", "None", "is not set.", f"Say which column: .roles({role}='…')."))
        for role, column in self.role.items():
            found += self._role_problems(role, column)
        if self.role.revenue is None:
            found.append(Problem("roles.revenue", "None", "is not set: no revenue metrics.", "", "warning"))
        return found

    def _role_problems(self, role: str, column: str) -> list[Problem]:
        if not self.known:
            return []
        names = [item.name for item in self.output()]
        if column not in names:
            return [Problem(f"roles.{role}", repr(column), "is not a column.", nearest(column, names))]
        kind = self._type(column)
        if role == "timestamp" and kind not in TIME_TYPES:
            return [
                Problem(f"roles.{role}", repr(column), f"is {kind}, not a date or a time.", "Load it as TIMESTAMP.")
            ]
        if role in ("revenue", "quantity") and kind not in NUMERIC_TYPES:
            return [Problem(f"roles.{role}", repr(column), f"is {kind}, not a number.", "Load it as a number.")]
        return []

    def _locate(self, column: str) -> tuple[str, str]:
        sources = self.changed(selected=()).sources() if self.selected else self.sources()
        if column in sources:
            return sources[column]
        alias, dot, plain = column.partition(".")
        if dot and any(table.alias == alias for table in self.tables):
            self._must_have(self.table(alias), plain, "column")
            return alias, plain
        raise self._error("column", column, "is not a column.", nearest(column, sources))

    def _holder(self, column: str) -> str:
        for table in self.tables:
            if not table.columns or column in table.column_names:
                return table.alias
        names = [name for table in self.tables for name in table.column_names]
        raise self._error("on", column, f"is not a column of {', '.join(self._alias_list())}.", nearest(column, names))

    def _must_have(self, table: TableRef, column: str, field: str) -> None:
        if table.columns and column not in table.column_names:
            raise self._error(
                field, column, f"is not a column of {table.alias!r}.", nearest(column, table.column_names)
            )

    def _alias_list(self) -> list[str]:
        return [table.alias for table in self.tables]

    def preview(self, limit: int = 10, seed: int = 0) -> Any:
        """Show some rows; see ``Workspace.preview``."""
        return context.current().preview(self, limit=limit, seed=seed)

    def what_if(self, *filters: Filter) -> Any:
        """Say what each filter, and these besides, would keep; see ``Workspace.what_if``."""
        return context.current().what_if(self, *filters)

    def profile(self) -> Any:
        """Count, in the warehouse; see ``Workspace.profile``."""
        return context.current().profile(self)

    def edit(self) -> Any:
        """Open the schema builder on this dataset."""
        return context.current().edit(self)

    def _facts(self) -> dict[str, str]:
        facts = {
            "tables": ", ".join(self._alias_list()),
            "joins": "; ".join(map(str, self.joins)),
            "roles": ", ".join(f"{role}={column}" for role, column in self.role.items()),
            "computed": ", ".join(f"{item.name} = {item.expression}" for item in self.computed),
            "filters": "; ".join(map(str, self.filters)) + (" (products first)" if self.sequential else ""),
        }
        return {key: value for key, value in facts.items() if value} | super()._facts()
