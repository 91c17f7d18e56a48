"""Cards, tables, charts and progress: what people see, with hostile text in them."""

import altair as alt
import pandas as pd
import pytest

from b2brecs.display import Card, Table, offline, progress
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


def test_a_chart_carries_its_specification_for_pages_without_network():
    chart = offline(alt.Chart(pd.DataFrame({"x": [1], "y": [2]})).mark_bar().encode(x="x", y="y"))
    bundle = chart._repr_mimebundle_()
    spec = next(value for kind, value in bundle.items() if kind.startswith("application/vnd.vegalite"))
    assert spec["mark"] == {"type": "bar"}
    assert chart.properties(width=300).to_dict()["width"] == 300


def test_progress_says_nothing_in_a_log(capsys):
    with progress("Work") as report:
        report("stage", 1, 2)
    with pytest.raises(ValueError, match="x"), progress("Work"):
        raise ValueError("x")
    assert capsys.readouterr() == ("", "")
