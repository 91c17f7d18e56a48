"""What people see of runs: their status as of now, figures over many of them, and the page of one."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Protocol

from b2brecs.display.card import _STYLE, Table
from b2brecs.display.units import rate_text, seconds_text, size_text

# A run that goes on says so every 15 s; one that has been silent for so long is lost.
LOST_AFTER_S = 60.0
WINDOW = dt.timedelta(days=30)
# Colours that stand out from white and from a dark page alike; a sign says the same.
COLOURS = {
    "completed": "#2c9a5f", "partial": "#b5791c", "failed": "#e0484d", "lost": "#c2539a", "cancelled": "#868c96",
    "skipped": "#868c96", "running": "#3a8bd0", "pending": "#7d7fd6",
}  # fmt: skip
_SIGNS = {
    "completed": "✓", "partial": "◐", "failed": "✕", "lost": "?", "cancelled": "■", "skipped": "↷", "running": "▶",
    "pending": "…",
}  # fmt: skip
_MOST_FILES = 50
# Columns of text that is measured, and lined up as numbers are.
_MEASURES = frozenset({"size", "time", "rate", "duration"})
STYLE = (
    _STYLE
    + """
.b2b-card .b2b-dot{display:inline-block;width:1.25em;height:1.25em;line-height:1.25em;border-radius:50%;
text-align:center;font-size:11px;margin-right:6px;color:#fff;font-weight:700}
.b2b-card h5{margin:14px 0 4px;font-size:13px;font-weight:600}.b2b-card .b2b-run td{white-space:nowrap}
.b2b-card .b2b-run td.b2b-wrap{white-space:normal;min-width:160px;overflow-wrap:anywhere}
.b2b-card .b2b-figures{display:flex;flex-wrap:wrap;gap:6px 26px;margin:8px 0 4px}
.b2b-card .b2b-figures div{min-width:70px}.b2b-card .b2b-figures b{display:block;font-size:16px;font-weight:600;
font-variant-numeric:tabular-nums}.b2b-card .b2b-figures span{color:var(--b2b-soft)}
.b2b-card .b2b-bar{display:inline-block;height:10px;border-radius:2px;min-width:2px;background:#3a8bd0}
.b2b-card td.b2b-track{width:320px;vertical-align:middle}.b2b-card pre{white-space:pre-wrap;overflow-wrap:anywhere;
margin:6px 0 0;padding:6px 10px;border-left:3px solid #e0484d;background:none;color:var(--b2b-fg);font-size:12px}
.b2b-card a{color:inherit}.b2b-card .b2b-origin{display:flex;flex-wrap:wrap;align-items:baseline}
.b2b-card .b2b-origin>span:not(.b2b-dot){margin-left:18px;color:var(--b2b-soft)}
"""
)


class RunLike(Protocol):
    """A run as the registry keeps it."""

    @property
    def id(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def status(self) -> str: ...
    @property
    def started_at(self) -> dt.datetime: ...
    @property
    def finished_at(self) -> dt.datetime | None: ...
    @property
    def error(self) -> str: ...
    @property
    def facts(self) -> Mapping[str, Any]: ...


def heartbeat(run: RunLike) -> dt.datetime | None:
    """Return when a run last said that it goes on."""
    text = run.facts.get("heartbeat")
    return dt.datetime.fromisoformat(text) if isinstance(text, str) else None


def status_now(run: RunLike, now: dt.datetime | None = None) -> str:
    """Return a run's status: as it was written, or ``lost`` when it fell silent, or ``skipped``."""
    if run.status in ("running", "pending"):
        beat = heartbeat(run)
        silent = ((now or dt.datetime.now(dt.UTC)) - beat).total_seconds() if beat else 0.0
        return "lost" if silent > LOST_AFTER_S else run.status
    return "skipped" if run.status == "cancelled" and run.facts.get("skipped") else run.status


def seconds_of(run: RunLike, now: dt.datetime | None = None) -> float:
    """Return how long a run took, or has taken so far."""
    end = run.finished_at
    if end is None:
        moment = now or dt.datetime.now(dt.UTC)
        end = (heartbeat(run) or moment) if status_now(run, moment) == "lost" else moment
    return max((end - run.started_at).total_seconds(), 0.0)


def number(run: RunLike, name: str) -> int | None:
    """Return a count among a run's facts, or what its progress has come to."""
    value = run.facts.get(name)
    if value is None and isinstance(run.facts.get("progress"), Mapping):
        value = run.facts["progress"].get(name)
    return int(value) if isinstance(value, int | float) else None


def figures(runs: Iterable[RunLike], now: dt.datetime | None = None) -> str:
    """Sum up the runs of the last 30 days: how many, success rate, rows, mean duration."""
    moment = now or dt.datetime.now(dt.UTC)
    recent = [run for run in runs if moment - run.started_at <= WINDOW]
    if not recent:
        return "No runs in the last 30 days."
    ended = [(run, status_now(run, moment)) for run in recent]
    judged = [run for run, status in ended if status in ("completed", "partial", "failed", "lost")]
    good = [run for run in judged if run.status == "completed"]
    parts = [f"{len(recent):,} run{'s' if len(recent) > 1 else ''}"]
    if judged:
        parts.append(f"{len(good) / len(judged):.0%} succeeded")
    rows = sum(number(run, "rows") or 0 for run in recent)
    parts.append(f"{rows:,} rows read")
    timed = [seconds_of(run, moment) for run in judged]
    if timed:
        parts.append(f"{seconds_text(sum(timed) / len(timed))} on average")
    return "Last 30 days: " + ", ".join(parts) + "."


def runs_html(table: Table, statuses: Sequence[str], column: int) -> str:
    """Return a table of runs as HTML, the status in one column with its colour and sign."""
    numeric = [
        name in _MEASURES
        or (bool(table.rows) and all(isinstance(row[i], int | float | type(None)) for row in table.rows))
        for i, name in enumerate(table.columns)
    ]
    mark = [' class="n"' if flag else "" for flag in numeric]
    wrap = [' class="b2b-wrap"' if name == "error" else m for name, m in zip(table.columns, mark, strict=True)]
    head = "".join(f"<th{m}>{escape(name)}</th>" for name, m in zip(table.columns, mark, strict=True))
    body = ""
    for row, status in zip(table.rows, statuses, strict=True):
        cells = [_status(status) if i == column else _text(value) for i, value in enumerate(row)]
        body += "<tr>" + "".join(f"<td{m}>{cell}</td>" for cell, m in zip(cells, wrap, strict=True)) + "</tr>"
    return (
        f"<style>{STYLE}</style><div class='b2b-card' style='max-width:1200px'><h4>{escape(table.title)}"
        f"<small>{escape(table.subtitle)}</small></h4><table class='b2b-run'><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table><p>{escape(table.note)}</p></div>"
    )


@dataclass(frozen=True)
class RunPage:
    """All that is known of one run; ``log`` is where its lines are."""

    run: RunLike
    log: str = ""
    now: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))

    @property
    def id(self) -> str:
        """The run's id."""
        return self.run.id

    @property
    def status(self) -> str:
        """The status as of now."""
        return status_now(self.run, self.now)

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was kept of the run, plain data."""
        return self.run.facts

    @property
    def tables(self) -> list[Mapping[str, Any]]:
        """What happened to each table."""
        found = self.run.facts.get("tables")
        return [item for item in found if isinstance(item, Mapping)] if isinstance(found, list) else []

    def to_html(self) -> str:
        """Return the page as one HTML fragment with its own style."""
        run = self.run
        shown = "".join(f"<div><b>{escape(v)}</b><span>{escape(k)}</span></div>" for k, v in self._figures())
        origin = "".join(f"<span>{line}</span>" for line in self._origin_html())
        parts = [
            f"<style>{STYLE}</style><div class='b2b-card' style='max-width:1200px'>",
            f"<h4>{escape(run.name)}<small>{escape(run.kind)}, run {escape(run.id)}</small></h4>",
            f"<div class='b2b-origin'>{_status(self.status)}{origin}</div>",
            f"<div class='b2b-figures'>{shown}</div>",
        ]
        if run.error or run.facts.get("error_class"):
            parts.append(f"<pre>{escape(self._error())}</pre>")
        sections = (self._loaded(), self._watermarks(), self._changes(), self._checks(), self._files())
        loaded, *others = [_section(section) for section in sections if section is not None and section.rows] or [""]
        parts += [loaded, self._stages(), *others]
        return "".join((*parts, "</div>"))

    def _repr_html_(self) -> str:
        return self.to_html()

    def __str__(self) -> str:
        run = self.run
        lines = [f"{run.kind} {run.name!r}, run {run.id}: {self.status}"]
        lines += [f"  {key}: {value}" for key, value in (*self._figures(), *self._origin())]
        if run.error or run.facts.get("error_class"):
            lines += [f"  {line}" for line in self._error().splitlines()]
        for section in (self._loaded(), self._watermarks(), self._timings(), self._changes(), self._checks(),
                        self._files()):  # fmt: skip
            if section is not None and section.rows:
                lines += ["", str(section)]
        return "\n".join(lines)

    __repr__ = __str__

    def _figures(self) -> list[tuple[str, str]]:
        run, seconds = self.run, seconds_of(self.run, self.now)
        found = [("duration", seconds_text(seconds))]
        for name, label in (("rows", "rows read"), ("rows_loaded", "rows loaded"), ("rows_rejected", "rows rejected")):
            count = number(run, name)
            if count is not None:
                found.append((label, f"{count:,}"))
        size, rows = number(run, "bytes"), number(run, "rows")
        if size:
            found.append(("in memory", size_text(size)))
        if rows and seconds:
            found.append(("rate", rate_text(rows / seconds)))
        return found

    def _origin(self) -> list[tuple[str, str]]:
        run = self.run
        end = f" to {run.finished_at:%H:%M:%S}" if run.finished_at else ""
        found = [("when", f"{run.started_at:%Y-%m-%d %H:%M:%S}{end} UTC")]
        for name, label in (("trigger", "started by"), ("connection", "connection"), ("host", "on")):
            if run.facts.get(name):
                found.append((label, str(run.facts[name])))
        beat = heartbeat(run)
        if self.status == "lost" and beat:
            found.append(("last sign of life", f"{beat:%Y-%m-%d %H:%M:%S} UTC; the process was killed or cut off"))
        if self.log:
            found.append(("log", self.log))
        return found

    def _origin_html(self) -> list[str]:
        lines = []
        for key, value in self._origin():
            shown = escape(value)
            if key == "log":
                shown = f"<a href='{escape(_address(value), quote=True)}'>{shown}</a>"
            lines.append(shown if key == "when" else f"{escape(key)} {shown}")
        return lines

    def _error(self) -> str:
        kind, stage = self.run.facts.get("error_class"), self.run.facts.get("error_stage")
        where = f" in {stage}" if stage else ""
        return f"{kind}{where}\n{self.run.error}" if kind else self.run.error

    def _loaded(self) -> Table:
        columns = ["table", "status", "strategy", "engine", "parts", "read", "loaded", "rejected", "rows now",
                   "size", "time", "rate"]  # fmt: skip
        rows = []
        for each in self.tables:
            seconds, read = float(each.get("seconds") or 0), int(each.get("rows_read") or 0)
            rows.append([
                each.get("target", "?"), each.get("status", "?"), each.get("strategy", ""), each.get("engine", ""),
                each.get("parts"), read, each.get("rows_loaded"), each.get("rows_rejected"), each.get("rows_total"),
                size_text(each.get("bytes") or 0), seconds_text(seconds), rate_text(read / seconds) if seconds else "",
            ])  # fmt: skip
        return Table("Tables", columns, rows)

    def _watermarks(self) -> Table:
        rows = [
            [each.get("target"), _plain(each.get("watermark_before")), _plain(each.get("watermark_after"))]
            for each in self.tables
            if each.get("watermark_before") or each.get("watermark_after")
        ]
        return Table("Watermarks", ["table", "before", "after"], rows)

    def _timings(self) -> Table:
        return Table(
            "Stages", ["table", "stage", "seconds"],
            [[target, stage, round(seconds, 3)] for target, stage, seconds in self._all_stages()],
        )  # fmt: skip

    def _all_stages(self) -> list[tuple[str, str, float]]:
        return [
            (str(each.get("target")), str(stage), float(seconds))
            for each in self.tables
            for stage, seconds in (each.get("stages") or {}).items()
        ]

    def _stages(self) -> str:
        stages = self._all_stages()
        if not stages:
            return ""
        longest = max(seconds for _, _, seconds in stages) or 1.0
        body, before = "", None
        for target, stage, seconds in stages:
            share = 100 * seconds / longest
            body += (
                f"<tr><td>{escape(target) if target != before else ''}</td><td>{escape(stage)}</td>"
                f"<td class='b2b-track'><span class='b2b-bar' style='width:{share:.1f}%'></span></td>"
                f"<td class='n'>{seconds_text(seconds)}</td></tr>"
            )
            before = target
        return (
            "<h5>Stages</h5><table class='b2b-run'><thead><tr><th>table</th><th>stage</th><td></td>"
            f"<th class='n'>time</th></tr></thead><tbody>{body}</tbody></table>"
        )

    def _changes(self) -> Table:
        rows = [
            [each.get("target"), what, text]
            for each in self.tables
            for what, key in (("source changed", "drift"), ("note", "notes"))
            for text in each.get(key) or ()
        ]
        rows += [
            [
                each.get("target"),
                f"error in {each['error_stage']}" if each.get("error_stage") else "error",
                each["error"],
            ]
            for each in self.tables
            if each.get("error") and len(self.tables) > 1
        ]
        return Table("Notes", ["table", "what", "said"], rows)

    def _checks(self) -> Table:
        rows = [
            [each.get("target"), check.get("rule"), "holds" if check.get("passed") else f"broken ({check['action']})",
             check.get("rows"), check.get("found")]
            for each in self.tables for check in each.get("checks") or ()
        ]  # fmt: skip
        return Table("Checks", ["table", "rule", "outcome", "rows", "found"], rows)

    def _files(self) -> Table:
        rows = [
            [each.get("target"), file.get("name"), file.get("status"), file.get("error")]
            for each in self.tables for file in each.get("files") or ()
        ]  # fmt: skip
        more = f"and {len(rows) - _MOST_FILES:,} more" if len(rows) > _MOST_FILES else ""
        return Table("Files", ["table", "file", "status", "error"], rows[:_MOST_FILES], note=more)


def _section(table: Table) -> str:
    kept = [i for i in range(len(table.columns)) if i < 2 or any(row[i] not in (None, "", 0) for row in table.rows)]
    numeric = {
        i
        for i in kept
        if table.columns[i] in _MEASURES or all(isinstance(row[i], int | float | type(None)) for row in table.rows)
    }
    head = "".join(f"<th{' class=n' if i in numeric else ''}>{escape(table.columns[i])}</th>" for i in kept)
    body = ""
    for row in table.rows:
        body += "<tr>"
        for i in kept:
            name = table.columns[i]
            cell = _status(str(row[i])) if name == "status" else _text(row[i])
            mark = " class=n" if i in numeric else " class=b2b-wrap" if name in ("error", "said", "found") else ""
            body += f"<td{mark}>{cell}</td>"
        body += "</tr>"
    note = f"<p>{escape(table.note)}</p>" if table.note else ""
    return (
        f"<h5>{escape(table.title)}</h5><table class='b2b-run'><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>{note}"
    )


def _status(status: str) -> str:
    colour, sign = COLOURS.get(status), _SIGNS.get(status, "")
    dot = f"<span class='b2b-dot' style='background:{colour}' aria-hidden='true'>{sign}</span>" if colour else ""
    return f"{dot}{escape(status)}"


def _text(value: Any) -> str:
    from b2brecs.display.card import _cell

    return escape(_cell(value))


def _plain(watermark: Any) -> str:
    if not isinstance(watermark, str):
        return "–"
    try:
        return str(json.loads(watermark))
    except ValueError:
        return watermark


def _address(place: str) -> str:
    if place.startswith("gs://"):
        return f"https://console.cloud.google.com/storage/browser/_details/{place.removeprefix('gs://')}"
    from pathlib import Path

    return Path(place).absolute().as_uri() if "://" not in place else place
