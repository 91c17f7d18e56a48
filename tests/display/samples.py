"""Runs as the registry keeps them: one that loaded, one in part, one lost, and hostile ones."""

from __future__ import annotations

import datetime as dt
import random
from typing import Any

from b2brecs.backends.protocols import RunRecord
from b2brecs.etl.results import CheckResult, EtlResult, FileResult, TableResult

NOW = dt.datetime(2026, 6, 30, 12, tzinfo=dt.UTC)
HOSTILE = "<script>alert('x')</script>"


def record(key: str, status: Any = "completed", *, hours: float = 1, seconds: float = 42, **more: Any) -> RunRecord:
    """Return a run that began so many hours before ``NOW``."""
    started = NOW - dt.timedelta(hours=hours)
    ended = None if status in ("running", "pending") else started + dt.timedelta(seconds=seconds)
    facts = {"rows": 1200, "trigger": "schedule", "connection": "erp", "host": "etl-1"} | more.pop("facts", {})
    return RunRecord(key, "etl_job", more.pop("name", "nightly"), status, started, ended, more.pop("error", ""), facts)


def orders() -> TableResult:
    """Return a table that was loaded with all that can be said of one."""
    return TableResult(
        "orders", "completed", "public.orders", "transactional", engine="local", parts=4, rows_read=1_204_331,
        rows_loaded=1_204_310, rows_rejected=21, rows_total=8_120_007, bytes=412_000_000, seconds=38.2,
        stages={"validation": 0.41, "extraction": 31.7, "checks": 2.2, "load": 3.9},
        watermark_before='"2026-06-29T02:30:11.482000+00:00"', watermark_after='"2026-06-30T02:29:58.120000+00:00"',
        drift=("new column 'channel' (STRING) was added",), notes=("tried 2 times",),
        checks=(
            CheckResult("customer_id is not NULL", "fail", passed=True),
            CheckResult("price is at least 0", "quarantine", passed=False, rows=21, found="least -4.5"),
        ),
    )  # fmt: skip


def products() -> TableResult:
    """Return a table of files."""
    files = (
        FileResult("2026/products-06.csv", "loaded"), FileResult("2026/products-05.csv", "unchanged"),
        FileResult("2026/broken.csv", "skipped", "row 17 has 9 fields, the header 8"),
    )  # fmt: skip
    return TableResult(
        "products", "completed", "products/*.csv", "catalog", rows_read=9_120, rows_loaded=9_120, rows_total=9_120,
        bytes=3_100_000, seconds=1.9, stages={"validation": 0.1, "extraction": 1.2, "load": 0.6}, files=files,
    )  # fmt: skip


def customers() -> TableResult:
    """Return a table that failed."""
    return TableResult(
        "customers", "failed", "public.customers", "catalog", rows_read=512, bytes=40_000, seconds=0.7,
        stages={"validation": 0.2, "extraction": 0.5}, error_class="SourceError", error_stage="extraction",
        error="postgres ro@db:5432/shop: the server closed the connection. Check that it is up, and try again.",
    )  # fmt: skip


def partial() -> RunRecord:
    """Return a run of which a table failed."""
    result = EtlResult("nightly", "r1", (orders(), products(), customers()))
    facts = result.to_facts() | {"error_class": "SourceError", "error_stage": "extraction"}
    facts["log"] = "/srv/b2brecs/files/logs/3f0a.log"
    return record("3f0a11c2d3e4", "partial", error=f"customers: {customers().error}", facts=facts, seconds=40.8)


def lost() -> RunRecord:
    """Return a run that said nothing for an hour."""
    beat = (NOW - dt.timedelta(hours=1)).isoformat()
    progress = {"stage": "orders: reading", "rows": 400_000, "bytes": 90_000_000}
    return record("aa01aa01aa01", "running", hours=1.5, facts={"heartbeat": beat, "rows": None, "progress": progress})


def month() -> list[RunRecord]:
    """Return thirty nights, the latest first; some of them bad."""
    dice = random.Random(7)
    found = []
    for night in range(30):
        status = {3: "failed", 11: "partial", 12: "failed", 20: "cancelled"}.get(night, "completed")
        rows = 0 if status == "failed" else dice.randint(40_000, 90_000) // (2 if status == "partial" else 1)
        error = "orders: postgres ro@db:5432/shop: no answer within 10 s." if status == "failed" else ""
        found.append(
            record(f"{night:012x}", status, hours=24 * night + 9.5, seconds=dice.uniform(30, 75), error=error,
                   facts={"rows": rows, "rows_rejected": 3 if status == "partial" else 0})
        )  # fmt: skip
    return [lost(), *found]


def hostile() -> RunRecord:
    """Return a run whose every text is an attack, and whose facts have shapes nobody expects."""
    table = {
        "target": HOSTILE, "status": HOSTILE, "source": HOSTILE, "error": HOSTILE, "stages": {HOSTILE: 1.0},
        "drift": [HOSTILE], "notes": [HOSTILE], "watermark_before": HOSTILE, "watermark_after": f'"{HOSTILE}"',
        "checks": [{"rule": HOSTILE, "passed": False, "action": HOSTILE, "rows": 1, "found": HOSTILE}],
        "files": [{"name": HOSTILE, "status": HOSTILE, "error": HOSTILE}],
    }  # fmt: skip
    facts = {"tables": [table, table, "not a table"], "log": f"/x/{HOSTILE}'\"", "trigger": HOSTILE, "host": HOSTILE}
    return record(HOSTILE, "failed", name=HOSTILE, error=HOSTILE, facts=facts | {"error_class": HOSTILE})
