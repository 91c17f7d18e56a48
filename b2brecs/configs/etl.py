"""What is loaded from a connection into the warehouse, and how."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, SerializeAsAny, StringConstraints, field_validator

from b2brecs import context
from b2brecs.configs.base import Config, Value
from b2brecs.configs.connection import Connection
from b2brecs.configs.rules import Rule
from b2brecs.configs.schedule import Schedule
from b2brecs.errors import ConfigError, NotFound, Problem
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
    # What happens when the source's columns are not those of the last run: see ``EtlJob.load``.
    on_drift: Literal["fail", "add", "ignore"] = "add"
    # More rejected rows than this share of those read fail the load; ten are borne unless the share is 0.
    max_rejects: Annotated[float, Field(ge=0, le=1)] = 0.01
    on_bad_file: Literal["fail", "skip"] = "fail"
    snapshot_history: bool = False
    rules: tuple[SerializeAsAny[Rule], ...] = ()

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
        if self.snapshot_history and self.strategy != "catalog":
            problems.append(
                Problem("snapshot_history", "True", "only a table that is loaded as a whole has daily snapshots.",
                        "Leave watermark= out.")
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


class Engine(Value):
    """What reads a job's tables: this process, or Apache Beam.

    With ``auto``, Beam reads a table from ``threshold`` estimated rows on, where it is installed and the work can
    be spread over more than this machine.
    """

    mode: Literal["auto", "local", "beam"] = "auto"
    threshold: Annotated[int, Field(ge=1)] = 1_000_000
    # Parts of one table that are read at the same time; None: one for each processor, at most 4.
    parallel: Annotated[int, Field(ge=1, le=256)] | None = None
    # Options of the Beam pipeline, e.g. ("runner", "DataflowRunner").
    options: tuple[tuple[Text, str], ...] = ()

    @field_validator("options", mode="before")
    @classmethod
    def _options(cls, value: Any) -> Any:
        return tuple(value.items()) if isinstance(value, dict) else value


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
    engine: Engine = Engine()
    timetable: Schedule | None = None
    follows: tuple[Text, ...] = ()

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
        on_drift: Literal["fail", "add", "ignore"] = "add",
        max_rejects: float = 0.01,
        on_bad_file: Literal["fail", "skip"] = "fail",
        snapshot_history: bool = False,
        rules: Iterable[Rule] = (),
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
            How far behind the watermark to read again, for late rows.
        start
            Where a first incremental load begins.
        on_empty
            What an empty source does to a catalog table: ``fail``, ``keep`` the old one, or ``replace`` it.
        types
            Column → warehouse type, where the source's own is not wanted.
        on_drift
            When the source's columns are not those of the last run: ``fail`` on any difference; ``add`` new columns
            and fail when a column is gone or has a type that the table cannot hold; ``ignore`` new columns, fill what
            is gone with NULL and send values that no longer fit to the rejects.
        max_rejects
            Share of the rows read, 0 to 1, that may go to ``<table>__rejects``; more fails the load. Ten rows are
            always borne, unless the share is 0.
        on_bad_file
            Whether a file that cannot be read fails the load or is left out and reported.
        snapshot_history
            Keep each day's rows in ``<table>__history`` too, with the day as ``_snapshot_date``.
        rules
            What must hold of the rows: ``b2brecs.rules``.

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
            on_drift=on_drift,
            max_rejects=max_rejects,
            on_bad_file=on_bad_file,
            snapshot_history=snapshot_history,
            rules=tuple(rules),
        )
        return self.changed(tables=(*self.tables, table))

    def check(self, target: str, *rules: Rule) -> Self:
        """Add rules on the rows that are loaded into a table.

        Raises
        ------
        NotFound
            The job loads no such table.
        """
        if target not in [table.target for table in self.tables]:
            raise NotFound("table", target, [table.target for table in self.tables], where=f"job {self.name!r}")
        tables = [t.changed(rules=(*t.rules, *rules)) if t.target == target else t for t in self.tables]
        return self.changed(tables=tuple(tables))

    def using(
        self,
        mode: Literal["auto", "local", "beam"] = "auto",
        *,
        threshold: int = 1_000_000,
        parallel: int | None = None,
        options: dict[str, str] | None = None,
    ) -> Self:
        """Choose what reads the tables; see ``Engine``."""
        return self.changed(engine=Engine(mode=mode, threshold=threshold, parallel=parallel, options=options or ()))

    def schedule(self, when: Schedule | str | None, *, timezone: str = "UTC") -> Self:
        """Say when the job runs: ``Schedule.daily("02:00", timezone="Europe/Berlin")``, or a cron expression.

        Nothing starts before ``ws.schedule(job)``.

        Raises
        ------
        ConfigError
            The cron expression or the time zone is wrong.
        """
        return self.changed(timetable=Schedule(cron=when, timezone=timezone) if isinstance(when, str) else when)

    def after(self, *jobs: EtlJob | str) -> Self:
        """Say that the job runs each time one of these has completed."""
        return self.changed(follows=tuple(job if isinstance(job, str) else job.name for job in jobs))

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
        return (("connection", self.connection), *(("etl_job", name) for name in self.follows))

    def run(self) -> Any:
        """Run the job in the current workspace; see ``Workspace.run``."""
        return context.current().run(self)

    def runs(self, limit: int = 50) -> Any:
        """Return the job's latest runs, a table that also plots; see ``Workspace.runs``."""
        return context.current().runs(self, limit=limit)

    def _facts(self) -> dict[str, str]:
        loads = [f"{t.source} → {t.target} ({t.strategy})" for t in self.tables]
        facts = {"connection": self.connection, "tables": ", ".join(loads) or "none"}
        if self.timetable is not None:
            facts["schedule"] = f"{self.timetable.cron} {self.timetable.timezone}"
        if self.follows:
            facts["after"] = ", ".join(self.follows)
        return {**facts, **super()._facts()}
