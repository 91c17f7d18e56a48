"""Cards, tables and charts: what people see, with hostile text in them."""

import altair as alt
import pandas as pd

from b2brecs.display import Card, Table, offline
from b2brecs.errors import Problem

HOSTILE = "<script>alert('x')</script>"


def test_html_escapes_what_it_shows():
    table = Table(HOSTILE, [HOSTILE], [[HOSTILE]], note=HOSTILE)
    card = Card(HOSTILE, HOSTILE, {HOSTILE: HOSTILE}, [Problem(HOSTILE, HOSTILE, HOSTILE)])
    for html in (table.to_html(), card.to_html()):
        assert "<script>" not in html
        assert html.count("&lt;script&gt;") >= 3


def test_a_table_is_text_too():
    text = str(Table("Title", ["name", "n"], [["a", 1234], ["b", 0.5]], note="[bold]kept[/bold]"))
    assert "1,234" in text
    assert "0.5000" in text
    assert "[bold]kept[/bold]" in text


def test_a_chart_carries_its_specification_for_pages_without_network(monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    chart = offline(alt.Chart(pd.DataFrame({"x": [1], "y": [2]})).mark_bar().encode(x="x", y="y"))
    bundle = chart._repr_mimebundle_()
    specs = {kind: spec for kind, spec in bundle.items() if kind.startswith("application/vnd.vegalite")}
    assert all(spec["mark"] == {"type": "bar"} for spec in specs.values())
    assert specs["application/vnd.vegalite.v5+json"]["$schema"] == "https://vega.github.io/schema/vega-lite/v5.json"
    assert "text/html" in bundle
    assert chart.properties(width=300).to_dict()["width"] == 300


def test_under_a_jupyter_server_the_html_that_calls_out_is_left_out(monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "notebook.ipynb")
    chart = offline(alt.Chart(pd.DataFrame({"x": [1], "y": [2]})).mark_bar().encode(x="x", y="y"))
    bundle = chart._repr_mimebundle_()
    assert "text/html" not in bundle
    assert "application/vnd.vegalite.v5+json" in bundle
