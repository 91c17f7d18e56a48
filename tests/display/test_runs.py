"""Runs as people see them: their status now, the figures of a month, the page of one; with hostile text in them."""

from __future__ import annotations

import datetime as dt
import os
from dataclasses import replace
from pathlib import Path

import pytest

from b2brecs.display.run_chart import runs_chart
from b2brecs.display.runs import COLOURS, RunPage, figures, seconds_of, status_now
from b2brecs.workspace.runs import runs_table
from tests.display import samples
from tests.display.samples import NOW, record
from tests.services.need import need
from tests.widgets.conftest import ROOT

MINUTE = dt.timedelta(minutes=1)


@pytest.mark.parametrize(("silent", "status"), [(15, "running"), (60, "running"), (61, "lost"), (3600, "lost")])
def test_a_run_that_fell_silent_is_lost(silent, status):
    beat = (NOW - dt.timedelta(seconds=silent)).isoformat()
    run = record("r", "running", facts={"heartbeat": beat})
    assert status_now(run, NOW) == status


def test_a_run_that_ended_is_never_lost_and_one_without_heartbeat_is_believed():
    old = (NOW - dt.timedelta(days=3)).isoformat()
    assert status_now(record("r", "failed", facts={"heartbeat": old}), NOW) == "failed"
    assert status_now(record("r", "running"), NOW) == "running"


def test_a_lost_run_took_as_long_as_it_lived():
    assert seconds_of(samples.lost(), NOW) == 1800
    assert seconds_of(record("r", "running", hours=2), NOW) == 7200


def test_a_run_that_gave_way_is_skipped():
    assert status_now(record("r", "cancelled", facts={"skipped": "other"}), NOW) == "skipped"
    assert status_now(record("r", "cancelled"), NOW) == "cancelled"


def test_the_figures_are_those_of_thirty_days():
    runs = [
        record("a", seconds=10), record("b", seconds=30), record("c", "partial", seconds=20),
        record("d", "failed", seconds=0, facts={"rows": 0}), record("e", "cancelled", facts={"rows": 5}),
        record("old", hours=24 * 31),
    ]  # fmt: skip
    assert figures(runs, NOW) == "Last 30 days: 5 runs, 50% succeeded, 3,605 rows read, 15.0 s on average."
    assert figures([], NOW) == "No runs in the last 30 days."
    assert figures([record("e", "cancelled")], NOW) == "Last 30 days: 1 run, 1,200 rows read."


def test_the_page_of_a_run_tells_all_that_is_known():
    page = RunPage(samples.partial(), "/srv/b2brecs/files/logs/3f0a.log", NOW)
    for text in (page.to_html(), str(page)):
        for part in (
            "partial", "40.8 s", "1,213,963", "1,213,430", "21", "415.1 MB", "29,754 rows/s", "SourceError", "orders",
            "extraction", "31.7", "2026-06-29T02:30:11", "2026-06-30T02:29:58", "channel", "tried 2 times",
            "price is at least 0", "broken (quarantine)", "least -4.5", "products-06.csv", "row 17 has 9 fields",
            "closed the connection", "schedule", "/srv/b2brecs/files/logs/3f0a.log",
        ):  # fmt: skip
            assert part in text, part
    assert "file:///srv/b2brecs/files/logs/3f0a.log" in page.to_html()
    assert [table["target"] for table in page.tables] == ["orders", "products", "customers"]


def test_a_lost_run_says_when_it_was_heard_of_last():
    page = RunPage(samples.lost(), now=NOW)
    assert page.status == "lost"
    assert "last sign of life: 2026-06-30 11:00:00 UTC" in str(page)
    assert "400,000" in str(page)


def test_a_run_of_another_kind_has_a_page_too():
    page = RunPage(replace(record("q"), kind="quick_test", facts={"features": "abc", "tables": ["orders"]}), now=NOW)
    assert "quick_test" in page.to_html()
    assert "completed" in str(page)


def test_hostile_text_stays_text():
    page = RunPage(samples.hostile(), "/x/<script>'\"", NOW)
    table = runs_table([samples.hostile()], "<script>", note="<script>")
    for html in (page.to_html(), table.to_html()):
        assert "<script" not in html
        assert "&lt;script" in html
    assert "href='file:///x/%3Cscript%3E%27%22'" in page.to_html()
    assert str(page)
    assert str(table)


def test_runs_are_a_table_with_pages():
    runs = runs_table([record("aaa1"), record("bbb2", "failed", error="it broke\nbadly")], "Runs")
    assert [row[3] for row in runs.rows] == ["completed", "failed"]
    assert (len(runs), runs[0].id, runs["bbb2"].id, runs[-1].status) == (2, "aaa1", "bbb2", "failed")
    assert [page.id for page in runs] == ["aaa1", "bbb2"]
    assert runs[1:].records == runs.records[1:]
    frame = runs.to_pandas()
    assert frame["seconds"].tolist() == [42.0, 42.0]
    assert frame["error"].tolist() == ["", "it broke\nbadly"]
    assert str(frame["started_at"].dtype).endswith("UTC]")


def test_the_chart_shows_each_run_and_every_status_in_a_colour_of_its_own():
    spec = runs_chart(samples.month(), now=NOW).to_dict()
    ((points),) = spec["datasets"].values()
    assert len(points) == 31
    statuses = {point["status"] for point in points}
    assert statuses == {"completed", "failed", "partial", "cancelled", "lost"}
    rows, seconds = spec["vconcat"]
    heads = rows["layer"][1]["encoding"]
    assert heads["y"]["field"] == "rows"
    assert seconds["layer"][1]["encoding"]["y"]["field"] == "seconds"
    chosen = dict(zip(heads["color"]["scale"]["domain"], heads["color"]["scale"]["range"], strict=True))
    assert chosen == {status: COLOURS[status] for status in statuses}
    assert "background" not in spec.get("config", {})


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("page", ["#ffffff", "#111111", "#1f1f1f", "#333333"])
@pytest.mark.parametrize("status", COLOURS)
def test_every_status_stands_out_from_light_and_dark_pages(status, page):
    dark, light = sorted((luminance(COLOURS[status]), luminance(page)))
    assert (light + 0.05) / (dark + 0.05) >= 3


THEMES = {
    "light": "background:#fff;--jp-ui-font-color1:rgba(0,0,0,.87);--jp-ui-font-color2:rgba(0,0,0,.54);"
    "--jp-border-color2:#e0e0e0;--jp-layout-color1:#fff",
    "dark": "background:#111;--jp-ui-font-color1:#fff;--jp-ui-font-color2:rgba(255,255,255,.7);"
    "--jp-border-color2:#424242;--jp-layout-color1:#111",
    "vscode": "background:#1f1f1f;--vscode-foreground:#ccc;--vscode-descriptionForeground:#9d9d9d;"
    "--vscode-editor-background:#1f1f1f;--vscode-panel-border:#2b2b2b",
}


@pytest.mark.browser
@pytest.mark.parametrize("theme", THEMES)
def test_no_accessibility_fault_in_any_theme(page, theme, tmp_path):
    axe = need("axe.min.js", "npm ci in widgets/", [ROOT / "widgets/node_modules/axe-core/axe.min.js"])
    runs = runs_table(samples.month()[:12], "Runs of nightly", note=figures(samples.month(), NOW))
    parts = [runs.to_html(), RunPage(samples.partial(), "/srv/logs/3f0a.log", NOW).to_html(),
             RunPage(samples.lost(), now=NOW).to_html(), RunPage(samples.hostile(), now=NOW).to_html()]  # fmt: skip
    page.set_viewport_size({"width": 1240, "height": 900})
    page.set_content(
        f"<!doctype html><html lang='en'><head><title>Runs</title></head><body style='margin:12px;{THEMES[theme]}'>"
        f"<main><h3 style='position:absolute;left:-999px'>Runs</h3>{''.join(parts)}</main></body></html>"
    )
    folder = Path(os.environ.get("B2BRECS_SCREENSHOTS", tmp_path))
    page.screenshot(path=folder / f"runs-{theme}.png", full_page=True)
    page.add_script_tag(content=axe.read_text())
    faults = page.evaluate(
        "async () => (await axe.run('main')).violations.flatMap((rule) =>"
        " rule.nodes.map((node) => `${rule.id}: ${node.html.slice(0, 160)} ${node.failureSummary}`))"
    )
    assert faults == []
