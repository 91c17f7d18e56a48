"""Verbs on runs: list them, look at one, read its log."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from b2brecs.backends.protocols import RunRecord
from b2brecs.configs.base import Config
from b2brecs.display import Table
from b2brecs.display.runs import RunPage, figures, number, runs_html, seconds_of, status_now
from b2brecs.display.units import seconds_text
from b2brecs.errors import NotFound
from b2brecs.workspace.connections import TEST, ConnectionVerbs

if TYPE_CHECKING:
    import pandas as pd

# So many runs are looked through for the figures over 30 days, and to find one by its id.
_MOST = 1000
_COLUMNS = ["run", "kind", "name", "status", "started (UTC)", "duration", "rows", "rejected", "error"]
_STATUS = _COLUMNS.index("status")


@dataclass(frozen=True, repr=False)
class RunsTable(Table):
    """Runs, the latest first. ``runs[0]`` is the page of one; ``runs.plot()`` draws them over time."""

    records: tuple[RunRecord, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def __iter__(self) -> Iterator[RunPage]:
        return (page_of(record) for record in self.records)

    @overload
    def __getitem__(self, index: int | str) -> RunPage: ...
    @overload
    def __getitem__(self, index: slice) -> RunsTable: ...
    def __getitem__(self, index: int | str | slice) -> RunPage | RunsTable:
        """Return the page of a run, by place or id; a slice is a table."""
        if isinstance(index, slice):
            return runs_table(self.records[index], self.title, note=self.note)
        if isinstance(index, str):
            return page_of(_by_id(self.records, index))
        return page_of(self.records[index])

    def plot(self) -> Any:
        """Draw rows and duration of each run over time; status by colour and shape."""
        from b2brecs.display.run_chart import runs_chart

        return runs_chart(self.records, self.title)

    def to_pandas(self) -> pd.DataFrame:
        """Return the runs as a data frame: plain values, times in UTC."""
        import pandas as pd

        return pd.DataFrame(self.to_dicts())

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the runs as plain data."""
        return [
            {
                "run": run.id, "kind": run.kind, "name": run.name, "status": status_now(run),
                "started_at": run.started_at, "finished_at": run.finished_at, "seconds": seconds_of(run),
                "rows": number(run, "rows"), "rows_loaded": number(run, "rows_loaded"),
                "rows_rejected": number(run, "rows_rejected"), "bytes": number(run, "bytes"),
                "trigger": run.facts.get("trigger"), "error_class": run.facts.get("error_class"), "error": run.error,
            }
            for run in self.records
        ]  # fmt: skip

    def to_html(self) -> str:
        """Return the table as one HTML fragment with its own style."""
        return runs_html(self, [str(row[_STATUS]) for row in self.rows], _STATUS)


class RunVerbs(ConnectionVerbs):
    """Verbs on runs."""

    def runs(self, noun: Config | str | None = None, /, *, limit: int = 20) -> RunsTable:
        """List the latest runs, of one job or of all; the note sums up the last 30 days.

        Parameters
        ----------
        noun
            A job, or its name. Default: all runs but tests of connections.
        limit
            How many are listed.
        """
        kind = TEST if getattr(noun, "KIND", None) == "connection" else getattr(noun, "KIND", None)
        name = noun.name if isinstance(noun, Config) else noun
        found = self.home.registry.runs(kind, name, limit=max(limit, _MOST))
        if kind != TEST:
            found = [run for run in found if run.kind != TEST]
        title = f"Runs of {name}" if name else "Runs"
        return runs_table(found[:limit], title, note=figures(found))

    def run_page(self, run: str) -> RunPage:
        """Return the page of a run, by its id or the beginning of it.

        Raises
        ------
        NotFound
            There is no such run among the latest thousand.
        """
        return page_of(_by_id(tuple(self.home.registry.runs(limit=_MOST)), run))

    def run_log(self, run: str) -> str:
        """Return the lines of a run's log; of a run in the cloud the last 200.

        Raises
        ------
        NotFound
            There is no such run, or its log is not there any more.
        """
        page = self.run_page(run)
        lines = page.facts.get("log_lines")
        if lines is not None:
            return "\n".join(lines)
        if not page.log or "://" in page.log or not Path(page.log).is_file():
            raise NotFound("log", page.id, where=page.log or "the registry")
        return Path(page.log).read_text(encoding="utf-8").rstrip("\n")


def runs_table(found: tuple[RunRecord, ...] | list[RunRecord], title: str, note: str = "") -> RunsTable:
    """Make the table of some runs."""
    rows: list[list[Any]] = []
    for run in found:
        error = run.error.split("\n")[0]
        rows.append(
            [run.id, run.kind, run.name, status_now(run), f"{run.started_at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}",
             seconds_text(seconds_of(run)), number(run, "rows"), number(run, "rows_rejected") or None,
             error if len(error) <= 160 else f"{error[:159]}…"]
        )  # fmt: skip
    kept = [i for i in range(len(_COLUMNS)) if i <= _STATUS + 2 or any(row[i] not in (None, "") for row in rows)]
    return RunsTable(
        title, [_COLUMNS[i] for i in kept], [[row[i] for i in kept] for row in rows], note=note, records=tuple(found)
    )


def page_of(run: RunRecord) -> RunPage:
    """Make the page of a run."""
    return RunPage(run, str(run.facts.get("log") or ""))


def _by_id(runs: tuple[RunRecord, ...], key: str) -> RunRecord:
    found = [run for run in runs if run.id == key] or [run for run in runs if key and run.id.startswith(key)]
    if len(found) != 1:
        raise NotFound("run", key, [run.id for run in runs], where="the registry")
    return found[0]
