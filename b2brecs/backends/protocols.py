"""The small protocols behind a workspace. Values in, values out; no client leaks through.

Each has one contract test suite, ``tests/conformance/test_<protocol>.py``, run against every
implementation.
"""

from __future__ import annotations

import builtins
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

from b2brecs.configs.secrets import Secret
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlglot import exp

CommitMode = Literal["swap", "append", "merge", "replace", "refresh"]
RunStatus = Literal["pending", "running", "completed", "partial", "failed", "cancelled"]

# Tables whose names begin so are the library's own and are not shown.
PRIVATE = "_b2b_"


@dataclass(frozen=True)
class Cost:
    """What a query would read: bytes, and US dollars where the warehouse bills by bytes."""

    bytes: int | None = None
    dollars: float | None = None


@dataclass(frozen=True)
class LoadState:
    """How far a job has loaded a table. It is written in the same step as the rows.

    ``watermark`` is text (JSON) so that every type survives; ``run`` names the run that wrote it. ``facts`` is
    JSON text too: the source's columns, its files, and whatever else the next run compares with.
    """

    key: str
    watermark: str | None
    run: str
    rows: int = 0
    facts: str = "{}"


@dataclass(frozen=True)
class Staged:
    """Rows that lie in the warehouse but that no reader sees yet."""

    name: str
    schema: TableSchema
    rows: int


@dataclass(frozen=True)
class Change:
    """What staged rows do to their target.

    ``swap`` replaces the table; ``append`` adds; ``merge`` replaces rows of equal ``keys`` and adds the rest (of
    staged rows with equal keys the last one counts); ``replace`` removes the target's rows whose ``keys`` occur among
    the staged ones, or whose first key is one of ``removed`` (STRING), and adds all staged rows; ``refresh`` removes
    the target's rows whose one key is at least ``low`` (JSON text; None: all rows) or NULL, and adds all staged rows.
    In a key, NULL equals NULL. With ``order``, of staged rows with equal keys the one with the greatest value in that
    column counts, NULL being the least, and among equals the last.

    ``partition`` names a DATE, DATETIME or TIMESTAMP column by whose days a table that the commit creates is
    partitioned and clustered, where the warehouse knows such a thing.
    """

    staged: Staged
    mode: CommitMode
    keys: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    low: str | None = None
    partition: str | None = None
    order: str | None = None


class Warehouse(Protocol):
    """Where loaded tables live: DuckDB or BigQuery."""

    @property
    def dialect(self) -> str:
        """Sqlglot's name of the SQL it speaks."""
        ...

    @property
    def bounds(self) -> Mapping[str, tuple[Any, Any]]:
        """Least and greatest value of warehouse types that hold less than Arrow does, e.g. ``{"DATE": (a, b)}``.

        Values are those of Python: date, naive datetime (TIMESTAMP's in UTC), Decimal. The infinite times of
        databases come from the sources as Arrow's extreme values, and fit only where a type is not in the mapping.
        """
        ...

    def tables(self) -> list[str]:
        """Names of the tables, sorted, without the library's own."""
        ...

    def schema(self, table: str) -> TableSchema:
        """Columns and estimated rows of a table. Raises ``NotFound``."""
        ...

    def query(self, tree: exp.Expr) -> pa.RecordBatchReader:
        """Run a query given as a tree and stream its rows.

        The reader is used to its end, or closed, before the next call. Raises ``WarehouseError``.
        """
        ...

    def dry_run(self, tree: exp.Expr) -> Cost:
        """Check a query and say what it would read, without running it. Raises ``WarehouseError``."""
        ...

    def stage(self, schema: TableSchema, run: str, batches: Iterable[pa.RecordBatch]) -> Staged:
        """Write rows where no reader sees them. ``schema.name`` is the later target.

        A second call with the same ``run`` and target starts over. Batches may be pulled from another thread;
        what they raise is raised unchanged. Values that do not fit are refused, never rounded. Names that begin
        with ``_b2b_``, and columns that differ in case only, are refused. Raises ``WarehouseError``.
        """
        ...

    def differs(self, change: Change) -> bool:
        """Say whether a commit of the change would leave the target other than it is.

        Rows are compared whole, as many times as each occurs. True where there is no target, and where the
        columns differ. ``append`` differs if there are rows.
        """
        ...

    def discard(self, staged: Staged, where: exp.Expression) -> Staged:
        """Remove the staged rows for which a condition on their columns is true; return what is left.

        ``staged.name`` can be read with ``query`` too. Raises ``WarehouseError``.
        """
        ...

    def commit(
        self, changes: Change | Sequence[Change], *, state: LoadState | None = None, expect: str | None = None
    ) -> int:
        """Make staged rows visible, together with ``state``, in one step; returns the first target's rows.

        Several changes, of different targets, are one step too. Columns that a target lacks are added, those that
        the rows lack become NULL; a column whose type changed is refused with ``LoadError``, as are keys that are
        not columns. A commit uses the staged rows up. With ``state``, the step happens only if the state that
        stands was written by run ``expect`` (None: there is none), else ``LoadError``; a state that stands with
        ``state.run`` itself means that this commit happened already, and nothing is done. Without changes, only
        the state is written (returns 0).
        """
        ...

    def state(self, key: str) -> LoadState | None:
        """Return how far a job has loaded a table."""
        ...

    def drop(self, table: str) -> None:
        """Remove a table, or staged rows, if there."""
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


@dataclass(frozen=True)
class Document:
    """A version of a configuration, as the registry holds it. Versions never change."""

    kind: str
    name: str
    version: int
    data: Mapping[str, Any]
    content_hash: str
    author: str
    saved_at: dt.datetime
    references: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class RunRecord:
    """One execution of a job, an experiment or a training."""

    id: str
    kind: str
    name: str
    status: RunStatus
    started_at: dt.datetime
    finished_at: dt.datetime | None = None
    error: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


class Registry(Protocol):
    """Where configurations and runs are kept: SQLite or Firestore."""

    def get(self, kind: str, name: str, version: int | None = None) -> Document:
        """Return a version, the latest by default. Raises ``NotFound``."""
        ...

    def put(self, document: Document, *, expect: int | None) -> Document:
        """Save a new version and return it with its number and time.

        ``document.version`` and ``saved_at`` are ignored. ``expect`` is the version the caller started from,
        None for a new name. If the latest version has the same content hash, it is returned and nothing is
        written. Raises ``VersionConflict`` when the latest is another version.
        """
        ...

    def history(self, kind: str, name: str) -> list[Document]:
        """Return all versions, the latest first. Raises ``NotFound``."""
        ...

    def list(self, kind: str | None = None) -> list[Document]:
        """Return the latest version of every name, sorted by kind and name."""
        ...

    def delete(self, kind: str, name: str) -> None:
        """Delete all versions. Raises ``NotFound``; ``InUse`` while the latest version of another refers to it."""
        ...

    def log_run(self, run: RunRecord) -> None:
        """Write a run, or what is new of it, by id; its facts are added to those logged before."""
        ...

    def runs(self, kind: str | None = None, name: str | None = None, limit: int = 100) -> builtins.list[RunRecord]:
        """Return runs, the latest start first, those of one instant by id downwards."""
        ...

    def close(self) -> None:
        """Give back what is held."""
        ...


class SecretStore(Protocol):
    """Where secrets are kept. Only references to them travel."""

    def get(self, secret: Secret) -> str:
        """Return the secret. Raises ``SecretNotFound``."""
        ...

    def put(self, secret: Secret, value: str) -> None:
        """Store or replace a secret."""
        ...

    def delete(self, secret: Secret) -> None:
        """Remove a secret, if there."""
        ...


@dataclass(frozen=True)
class TaskSpec:
    """What a runner starts: a task's name, its configuration as JSON, and the workspace to work in."""

    task: str
    config: Mapping[str, Any]
    workspace: str


class Runner(Protocol):
    """Where work is done: in this process, or in the cloud."""

    def submit(self, spec: TaskSpec) -> str:
        """Start a task and return its id."""
        ...

    def status(self, task_id: str) -> RunStatus:
        """Return how far a task is. Raises ``NotFound``."""
        ...

    def logs(self, task_id: str) -> Iterator[str]:
        """Return the lines a task has written so far. Raises ``NotFound``."""
        ...

    def cancel(self, task_id: str) -> None:
        """Ask a task to stop. Raises ``NotFound``."""
        ...


@dataclass(frozen=True)
class Timetable:
    """When a task is started: a cron expression in a time zone."""

    name: str
    cron: str
    timezone: str
    spec: TaskSpec
    paused: bool = False


class Scheduler(Protocol):
    """What starts tasks on time: a ticker in this process, or Cloud Scheduler."""

    def put(self, timetable: Timetable) -> None:
        """Add or replace a timetable. Raises ``ConfigError`` on a wrong cron expression or zone."""
        ...

    def list(self) -> list[Timetable]:
        """Return all timetables, by name."""
        ...

    def pause(self, name: str, *, paused: bool = True) -> None:
        """Stop, or resume, a timetable. Raises ``NotFound``."""
        ...

    def delete(self, name: str) -> None:
        """Remove a timetable, if there."""
        ...


@dataclass(frozen=True)
class Home:
    """The backends of one workspace, and its address, which opens it again."""

    url: str
    warehouse: Warehouse
    registry: Registry
    secrets: SecretStore
    runner: Runner
    scheduler: Scheduler
    # Folder, or fsspec URL, for models and other files.
    files: str
