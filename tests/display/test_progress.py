"""Progress: what is worked out of reports, and how it looks in a log, a terminal and a notebook."""

from __future__ import annotations

import io
import logging
import re
import threading

import nbformat
import pytest
from nbclient import NotebookClient
from rich.console import Console

from b2brecs.display import progress
from b2brecs.display.progress import Meter, _terminal, log_progress


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_speed_and_time_left_come_from_the_stages_own_time(clock):
    meter = Meter("rows", clock)
    clock.now += 5
    meter.take("one: reading", 0, None)
    clock.now += 10
    reading = meter.take("two: reading", 2_000, 10_000, 3_000_000)
    assert (reading.rate, reading.left, reading.share) == (200.0, 40.0, 0.2)
    assert str(reading) == "two: reading, 2,000 of 10,000 rows, 3.0 MB, 200 rows/s, about 40.0 s left"


def test_without_a_total_there_is_no_time_left(clock):
    meter = Meter("rows", clock)
    clock.now += 2
    reading = meter.take("reading", 100, None)
    assert (reading.left, reading.share, str(reading)) == (None, None, "reading, 100 rows, 50 rows/s")


def test_more_rows_than_were_estimated_are_no_negative_time(clock):
    meter = Meter("rows", clock)
    clock.now += 1
    reading = meter.take("reading", 300, 100)
    assert (reading.left, reading.share) == (None, 1.0)


def test_a_stage_that_starts_over_is_timed_anew(clock):
    meter = Meter("rows", clock)
    clock.now += 10
    meter.take("reading", 1000, None)
    clock.now += 90
    meter.take("reading", 0, None)
    clock.now += 1
    assert meter.take("reading", 50, None).rate == 50.0


def test_work_without_a_unit_has_no_speed(clock):
    meter = Meter("", clock)
    clock.now += 1
    assert str(meter.take("epoch", 3, 10)) == "epoch, 3 of 10"


def test_a_thing_counts_once_though_it_goes_through_several_steps(clock):
    meter = Meter("rows", clock)
    for step in ("reading", "checks", "load"):
        meter.take(f"orders: {step}", 70, None, 7_000)
    meter.take("lines: reading", 30, None, 3_000)
    assert meter.totals() == (100, 10_000)
    clock.now += 4
    assert meter.summary() == "4.0 s, 100 rows, 10.0 kB"


def test_reports_of_many_threads_are_all_counted():
    meter = Meter("rows")
    threads = [threading.Thread(target=meter.take, args=(f"t{n}: reading", 10, None)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert meter.totals() == (200, 0)


def test_a_log_gets_a_line_every_ten_seconds_and_one_at_the_end(clock, caplog):
    caplog.set_level(logging.INFO, "b2brecs")
    with log_progress("Loading j", "rows", clock=clock) as report:
        for done in range(25):
            report("o: reading", done * 100, 2400, done * 1000)
            clock.now += 1
    assert caplog.messages == [
        "Loading j: o: reading, 1,000 of 2,400 rows, 10.0 kB, 100 rows/s, about 14.0 s left",
        "Loading j: o: reading, 2,000 of 2,400 rows, 20.0 kB, 100 rows/s, about 4.0 s left",
        "Loading j: done in 25.0 s, 2,400 rows, 24.0 kB",
    ]


def test_a_failure_ends_the_log_with_its_kind_only(caplog):
    caplog.set_level(logging.INFO, "b2brecs")
    with pytest.raises(ValueError, match="details"), log_progress("Work"):
        raise ValueError("details")
    assert re.fullmatch(r"Work: stopped by ValueError after .* s", caplog.messages[-1])
    assert "details" not in caplog.text


def test_nothing_is_printed_where_nobody_looks(capsys):
    with progress("Work") as report:
        report("stage", 1, 2)
    with pytest.raises(ValueError, match="x"), progress("Work"):
        raise ValueError("x")
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_rows_bytes_and_speed(clock):
    seen = io.StringIO()
    console = Console(file=seen, force_terminal=True, width=140)
    shown = _terminal("Loading j", Meter("rows", clock), console)
    report = next(shown)
    clock.now += 10
    report("[orders]: reading", 5_000, 20_000, 1_500_000)
    console_before = seen.getvalue()
    next(shown, None)
    text = seen.getvalue()
    assert len(text) > len(console_before)
    for part in ("Loading j: [orders]: reading", "5,000 of 20,000 rows, 1.5 MB", "500 rows/s"):
        assert part in text


CELL = """
import sys
from b2brecs.display import progress
sys.modules["b2brecs.display.progress"]._PAGE_EVERY_S = 0
with progress("Loading <b>", "rows") as report:
    report("o: reading", 50, 100, 2_000)
"""
FAIL = """
try:
    with progress("Loading", "rows") as report:
        report("o: reading", 50, 100)
        raise KeyboardInterrupt
except KeyboardInterrupt:
    pass
"""


def test_a_notebook_keeps_one_plain_output():
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (CELL, FAIL)])
    updates = []

    class Client(NotebookClient):
        def process_message(self, msg, cell, cell_index):
            if msg["msg_type"] == "update_display_data":
                updates.append(msg["content"]["data"]["text/html"])
            return super().process_message(msg, cell, cell_index)

    Client(notebook, timeout=120, kernel_name="python3").execute()
    done, stopped = (cell.outputs for cell in notebook.cells)
    assert [output.output_type for output in (*done, *stopped)] == ["display_data"] * 2
    assert "Loading &lt;b&gt;: done in" in done[0].data["text/html"]
    assert "50 rows, 2.0 kB" in done[0].data["text/html"]
    assert "Loading: stopped after" in stopped[0].data["text/html"]
    assert any("<progress value='0.500' max='1'>" in html and "50 of 100 rows, 2.0 kB" in html for html in updates)
