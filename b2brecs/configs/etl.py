"""What is loaded from a connection into the warehouse, and how."""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, field_validator

from b2brecs import context
from b2brecs.configs.base import Config, Value
from b2brecs.configs.connection import Connection
from b2brecs.errors import ConfigError, Problem
from b2brecs.naming import sanitise
from b2brecs.types import Column

Text = Annotated[str, StringConstraints(min_length=1)]
Target = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,199}$")]


class TableLoad(Value):
    """One table of a job: from where, to where, and by which strategy.

    ``strategy="catalog"`` replaces the table as a whole in one step; ``"transactional"`` adds what is new
    since the watermark, replacing rows of equal ``primary_key``.
    """

    source: Text
    target: Target
    strategy: Literal["catalog", "transactional"] = "catalog"
    columns: tuple[Text, ...] = ()
    watermark: Text | None = None
    primary_key: tuple[Text, ...] = ()
    lookback_seconds: Annotated[int, Field(ge=0)] = 0
    start: dt.datetime | None = None
    on_empty: Literal["fail", "keep", "replace"] = "fail"
    types: tuple[Column, ...] = ()

    @field_validator("columns", "primary_key", mode="before")
    @classmethod
    def _one_or_many(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else tuple(value)

    def model_post_init(self, _context: Any, /) -> None:
        problems = []
        if self.strategy == "transactional" and self.watermark is None:
            problems.append(
                Problem("watermark", "None", "a transactional load needs a watermark.",
                        "Name the column that grows: watermark='updated_at'.")
            )  # fmt: skip
        if self.lookback_seconds and not self.primary_key:
            problems.append(
                Problem("lookback", str(self.lookback_seconds), "re-reading without a key would duplicate rows.",
                        "Give primary_key=[...].")
            )  # fmt: skip
        if self.columns:
            for column in (self.watermark, *self.primary_key):
                if column and column not in self.columns:
                    problems.append(
                        Problem("columns", repr(column), "the watermark and the key must be among the columns.",
                                f"Add {column!r}.")
                    )  # fmt: skip
        if problems:
            raise ConfigError(f"TableLoad {self.source!r}", problems)


class EtlJob(Config):
    """Tables of one connection and how each is loaded.

    Examples
    --------
    >>> job = EtlJob("nightly", connection="erp").load("orders", watermark="updated_at", primary_key="id")
    >>> job.tables[0].strategy
    'transactional'
    """

    KIND: ClassVar[str] = "etl_job"
    connection: Text
    tables: tuple[TableLoad, ...] = ()

    def __init__(self, name: str | None = None, /, **fields: Any) -> None:
        super().__init__(name, **fields)

    @field_validator("connection", mode="before")
    @classmethod
    def _connection(cls, value: Any) -> Any:
        return value.name if isinstance(value, Connection) else value

    def load(
        self,
        source: str,
        *,
        into: str | None = None,
        columns: tuple[str, ...] | list[str] = (),
        watermark: str | None = None,
        primary_key: str | tuple[str, ...] | list[str] = (),
        lookback: dt.timedelta | None = None,
        start: dt.datetime | str | None = None,
        on_empty: Literal["fail", "keep", "replace"] = "fail",
        types: dict[str, str] | None = None,
    ) -> Self:
        """Add a table; with a ``watermark`` it is loaded incrementally, else as a whole.

        Parameters
        ----------
        source
            Table at the source, or file table.
        into
            Table in the warehouse; default: the sanitised source name.
        columns
            Columns to take, default all.
        watermark
            Column that only grows (time or number): only rows beyond the last load are read.
        primary_key
            Rows of equal key replace one another.
        lookback
            How far behind the watermark to read again, for late rows; needs a key.
        start
            Where a first incremental load begins.
        on_empty
            What an empty source does to a catalog table: ``fail``, ``keep`` the old one, or ``replace`` it.
        types
            Column → warehouse type, where the source's own is not wanted.

        Raises
        ------
        ConfigError
            The table's settings contradict each other, or its target is taken.
        """
        table = TableLoad(
            source=source,
            target=into if into is not None else sanitise(source),
            strategy="transactional" if watermark else "catalog",
            columns=columns,
            watermark=watermark,
            primary_key=primary_key,
            lookback_seconds=int(lookback.total_seconds()) if lookback else 0,
            start=start,
            on_empty=on_empty,
            types=[Column(name, kind) for name, kind in (types or {}).items()],  # type: ignore[arg-type]
        )
        return self.changed(tables=(*self.tables, table))

    @field_validator("tables", mode="after")
    @classmethod
    def _targets_differ(cls, tables: tuple[TableLoad, ...]) -> tuple[TableLoad, ...]:
        seen: set[str] = set()
        for table in tables:
            if table.target in seen:
                raise ConfigError.single(
                    "", "target", table.target, "two tables of the job load into it.", "Give another into=."
                )
            seen.add(table.target)
        return tables

    def problems(self) -> list[Problem]:
        if not self.tables:
            return [Problem("tables", "()", "the job loads nothing.", "Add a table: .load('orders').")]
        return []

    def references(self) -> tuple[tuple[str, str], ...]:
        return (("connection", self.connection),)

    def run(self) -> Any:
        """Run the job in the current workspace; see ``Workspace.run``."""
        return context.current().run(self)

    def _facts(self) -> dict[str, str]:
        loads = [f"{t.source} → {t.target} ({t.strategy})" for t in self.tables]
        return {"connection": self.connection, "tables": ", ".join(loads) or "none", **super()._facts()}
