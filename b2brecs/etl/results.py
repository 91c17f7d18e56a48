"""What a run did, table by table: values that are shown, and that the registry keeps as a run's facts."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from b2brecs.display import Table

TableStatus = Literal["completed", "unchanged", "failed", "cancelled"]


@dataclass(frozen=True)
class CheckResult:
    """How a rule came out: ``rows`` are those that break it, ``found`` says what was measured."""

    rule: str
    action: Literal["fail", "quarantine", "warn"]
    passed: bool
    rows: int = 0
    found: str = ""


@dataclass(frozen=True)
class FileResult:
    """What happened to one file of a table."""

    name: str
    status: Literal["loaded", "unchanged", "removed", "skipped"]
    error: str = ""


@dataclass(frozen=True)
class TableResult:
    """What happened to one table.

    ``rows_read`` came from the source, ``rows_loaded`` were committed, ``rows_rejected`` went to the rejects,
    ``rows_total`` are in the table now; ``bytes`` is what the rows took in memory; ``stages`` are seconds;
    watermarks are JSON text. ``engine`` says what read the table, and why. ``error_stage`` is ``validation``,
    ``extraction``, ``checks`` or ``load``.
    """

    target: str
    status: TableStatus
    source: str = ""
    strategy: str = ""
    engine: str = "local"
    parts: int = 1
    rows_read: int = 0
    rows_loaded: int = 0
    rows_rejected: int = 0
    rows_total: int = 0
    bytes: int = 0
    seconds: float = 0.0
    stages: Mapping[str, float] = field(default_factory=dict)
    watermark_before: str | None = None
    watermark_after: str | None = None
    drift: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    checks: tuple[CheckResult, ...] = ()
    files: tuple[FileResult, ...] = ()
    error: str = ""
    error_class: str = ""
    error_stage: str = ""


@dataclass(frozen=True)
class EtlResult:
    """What a run of a job did, table by table."""

    job: str
    run: str
    tables: tuple[TableResult, ...]
    started_at: dt.datetime | None = None
    finished_at: dt.datetime | None = None

    @property
    def ok(self) -> bool:
        """Whether every table was loaded."""
        return all(table.status in ("completed", "unchanged") for table in self.tables)

    @property
    def rows(self) -> int:
        """Rows read in all."""
        return sum(table.rows_read for table in self.tables)

    def to_facts(self) -> dict[str, Any]:
        """Return plain data for the registry."""
        return {
            "rows": self.rows,
            "rows_loaded": sum(t.rows_loaded for t in self.tables),
            "rows_rejected": sum(t.rows_rejected for t in self.tables),
            "bytes": sum(t.bytes for t in self.tables),
            "tables": [dataclasses.asdict(table) for table in self.tables],
        }

    def _table(self) -> Table:
        rows = [
            [t.target, t.status, t.rows_read, t.rows_loaded, t.rows_rejected or None, t.rows_total, round(t.seconds, 2),
             shown(t.watermark_after), t.error]
            for t in self.tables
        ]  # fmt: skip
        columns = ["table", "status", "rows read", "loaded", "rejected", "rows now", "seconds", "watermark", "error"]
        kept = [i for i, name in enumerate(columns) if (i != 4 and i < 7) or any(row[i] for row in rows)]
        notes = [f"{t.target}: {text}" for t in self.tables for text in (*t.drift, *t.notes)]
        notes += [
            f"{t.target}: {check.rule} – {check.found or f'{check.rows:,} rows break it'} ({check.action})"
            for t in self.tables for check in t.checks if not check.passed
        ]  # fmt: skip
        return Table(
            f"Load {self.job}",
            [columns[i] for i in kept],
            [[row[i] for i in kept] for row in rows],
            subtitle=f"run {self.run}",
            note="; ".join(notes),
        )

    def __repr__(self) -> str:
        return str(self._table())

    def _repr_html_(self) -> str:
        return self._table().to_html()


def shown(watermark: str | None) -> str:
    """Return a watermark as people read it."""
    return "" if watermark is None else str(json.loads(watermark))
