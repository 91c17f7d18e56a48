"""Runs over time: rows and duration of each, with failures one cannot overlook."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from b2brecs.display.charts import offline
from b2brecs.display.runs import COLOURS, RunLike, number, seconds_of, status_now

_SHAPES = {
    "completed": "circle", "partial": "diamond", "failed": "cross", "lost": "triangle-down", "cancelled": "square",
    "skipped": "triangle-right", "running": "triangle-up", "pending": "triangle-up",
}  # fmt: skip


def runs_chart(runs: Sequence[RunLike], title: str = "Runs", now: dt.datetime | None = None) -> Any:
    """Draw runs as an Altair chart: a panel of rows read and one of seconds, colour and shape by status.

    The chart sets neither background nor text colour: the page's theme does.
    """
    import altair as alt

    points = [
        {
            "run": run.id, "name": run.name, "status": status_now(run, now), "started": run.started_at.isoformat(),
            "rows": number(run, "rows") or 0, "seconds": round(seconds_of(run, now), 3), "error": run.error[:200],
        }
        for run in runs
    ]  # fmt: skip
    present = [status for status in COLOURS if any(point["status"] == status for point in points)]
    data: Any = {"values": points}
    base = alt.Chart(data).encode(
        x=alt.X("started:T", title=None, axis=alt.Axis(grid=False)),
        color=alt.Color("status:N", scale=alt.Scale(domain=present, range=[COLOURS[s] for s in present]), title=None),
        tooltip=[
            alt.Tooltip("name:N"), alt.Tooltip("run:N"), alt.Tooltip("status:N"),
            alt.Tooltip("started:T", format="%Y-%m-%d %H:%M:%S"), alt.Tooltip("rows:Q", format=","),
            alt.Tooltip("seconds:Q", format=",.1f"), alt.Tooltip("error:N"),
        ],
    )  # fmt: skip
    shape = alt.Shape(
        "status:N", scale=alt.Scale(domain=present, range=[_SHAPES[status] for status in present]), title=None
    )

    def panel(field: str, label: str) -> Any:
        axis = alt.Y(
            f"{field}:Q",
            title=label,
            axis=alt.Axis(tickCount=4, gridOpacity=0.3),
            scale=alt.Scale(zero=True, nice=True),
        )
        stems = base.mark_rule(strokeWidth=2).encode(y=axis, y2=alt.datum(0))
        heads = base.mark_point(filled=True, size=80, opacity=1).encode(y=axis, shape=shape)
        return (stems + heads).properties(width=620, height=130)

    rows, seconds = panel("rows", "rows read"), panel("seconds", "seconds")
    return offline(alt.vconcat(rows, seconds).resolve_scale(x="shared").properties(title=title))
