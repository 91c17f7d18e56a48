"""What the steps of a load share: the job's surroundings, and what is counted on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from b2brecs.backends.protocols import Warehouse
from b2brecs.configs.connection import Connection
from b2brecs.configs.etl import EtlJob
from b2brecs.errors import NotFound
from b2brecs.etl.results import FileResult
from b2brecs.sources import Source
from b2brecs.types import TableSchema

OnProgress = Callable[[str, int, int | None, int], None]


@dataclass(frozen=True)
class Surroundings:
    """What a load works with besides its table; see ``run_job``."""

    job: EtlJob
    source: Source[Any]
    warehouse: Warehouse
    run: str
    connection: Connection | None = None
    files: str | None = None
    home: str | None = None
    on_progress: OnProgress | None = None
    stop: Callable[[], bool] | None = None


@dataclass
class Tally:
    """What is counted while rows stream by: rows read, their bytes, the greatest watermark, files left out."""

    rows: int = 0
    bytes: int = 0
    high: Any = None
    skipped: list[FileResult] = field(default_factory=list)


def existing(warehouse: Warehouse, table: str) -> TableSchema | None:
    """Return a table's columns, or None when there is none."""
    try:
        return warehouse.schema(table)
    except NotFound:
        return None


def column(name: str) -> exp.Column:
    """Name a column."""
    return exp.column(exp.to_identifier(name, quoted=True))


def rows_of(name: str, names: tuple[str, ...]) -> exp.Select:
    """Select columns of a table of the warehouse."""
    return exp.select(*(column(item) for item in names)).from_(exp.Table(this=exp.to_identifier(name, quoted=True)))
