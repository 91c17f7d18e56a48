"""Cards and tables: values that become HTML and text. They know no configuration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

from b2brecs.errors import Problem

_STYLE = """
.b2b-card{--b2b-fg:var(--jp-ui-font-color1,var(--vscode-foreground,CanvasText));
--b2b-soft:var(--jp-ui-font-color2,var(--vscode-descriptionForeground,GrayText));
--b2b-line:var(--jp-border-color2,var(--vscode-panel-border,color-mix(in srgb,CanvasText 20%,transparent)));
--b2b-bg:var(--jp-layout-color1,var(--vscode-editor-background,Canvas));
color:var(--b2b-fg);background:var(--b2b-bg);border:1px solid var(--b2b-line);border-radius:6px;
padding:10px 14px;margin:4px 0;font:13px/1.5 var(--jp-ui-font-family,system-ui,sans-serif);max-width:960px;
overflow-x:auto}
.b2b-card h4{margin:0 0 6px;font-size:14px}.b2b-card h4 small{font-weight:400;color:var(--b2b-soft);margin-left:6px}
.b2b-card.b2b-card table{border-collapse:collapse;margin:0}.b2b-card.b2b-card th,.b2b-card.b2b-card td{
padding:2px 12px 2px 0;text-align:left;
vertical-align:top;border:0;background:none}.b2b-card.b2b-card th{color:var(--b2b-soft);font-weight:500}
.b2b-card.b2b-card td.n,.b2b-card.b2b-card th.n{text-align:right;font-variant-numeric:tabular-nums}
.b2b-card.b2b-card tr.b2b-strong td{font-weight:650}.b2b-card.b2b-card thead th{border-bottom:1px solid var(--b2b-line)}
.b2b-card p{margin:6px 0 0}.b2b-card .b2b-error{color:var(--jp-error-color1,#b3261e)}
.b2b-card .b2b-warning{color:var(--jp-warn-color0,#8a5300)}
"""


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.4f}" if 0 < abs(value) < 1 else f"{value:,.2f}".removesuffix(".00")
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(value)


@dataclass(frozen=True)
class Table:
    """A small table: columns, rows of plain values, rows to set in bold, a note beneath."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    strong: frozenset[int] = frozenset()
    note: str = ""
    subtitle: str = ""

    def to_html(self) -> str:
        """Return the table as one HTML fragment with its own style."""
        numeric = [
            bool(self.rows) and all(isinstance(row[i], int | float | type(None)) for row in self.rows)
            for i in range(len(self.columns))
        ]
        mark = [' class="n"' if flag else "" for flag in numeric]
        head = "".join(f"<th{m}>{escape(c)}</th>" for c, m in zip(self.columns, mark, strict=True))
        body = "".join(
            f"<tr{' class=b2b-strong' if index in self.strong else ''}>"
            + "".join(f"<td{m}>{escape(_cell(v))}</td>" for v, m in zip(row, mark, strict=True))
            + "</tr>"
            for index, row in enumerate(self.rows)
        )
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        small = f"<small>{escape(self.subtitle)}</small>" if self.subtitle else ""
        return (
            f"<style>{_STYLE}</style><div class='b2b-card'><h4>{escape(self.title)}{small}</h4>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{note}</div>"
        )

    def __str__(self) -> str:
        from rich.console import Console
        from rich.table import Table as RichTable

        table = RichTable(title=self.title, title_justify="left", header_style="bold")
        for index, column in enumerate(self.columns):
            numeric = bool(self.rows) and all(isinstance(row[index], int | float | type(None)) for row in self.rows)
            table.add_column(column, justify="right" if numeric else "left")
        for index, row in enumerate(self.rows):
            table.add_row(*map(_cell, row), style="bold" if index in self.strong else None)
        # In a notebook the console would show what it prints, besides.
        console = Console(width=120, force_terminal=False, force_jupyter=False, color_system=None)
        with console.capture() as capture:
            console.print(table, markup=False)
            if self.note:
                console.print(self.note, markup=False, highlight=False)
        return capture.get().rstrip()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.to_html()


@dataclass(frozen=True)
class Card:
    """An object's card: its kind, name, facts, and problems."""

    kind: str
    name: str
    facts: Mapping[str, str]
    problems: Sequence[Problem] = field(default_factory=tuple)

    def to_html(self) -> str:
        """Return the card as one HTML fragment with its own style."""
        rows = "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in self.facts.items())
        problems = "".join(f"<p class='b2b-{p.severity}'>{escape(str(p))}</p>" for p in self.problems)
        return (
            f"<style>{_STYLE}</style><div class='b2b-card'>"
            f"<h4>{escape(self.name)}<small>{escape(self.kind)}</small></h4>"
            f"<table>{rows}</table>{problems}</div>"
        )
