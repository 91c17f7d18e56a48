"""What only the ticker promises: what is due is started once, across clock changes, pauses and processes."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from b2brecs.backends.local.ticker import Ticker
from b2brecs.backends.protocols import RunStatus, TaskSpec, Timetable
from b2brecs.errors import ConfigError, NotFound

BERLIN = ZoneInfo("Europe/Berlin")
HOURLY = Timetable("hourly", "0 * * * *", "UTC", TaskSpec("etl", {"job": 1}, "local:/x"))
YEARLY = replace(HOURLY, name="yearly", cron="0 0 1 1 *")
DAY = dt.timedelta(days=1)


class Recorder:
    """A runner that only remembers."""

    def __init__(self) -> None:
        self.started: list[TaskSpec] = []
        self.broken: set[str] = set()

    def submit(self, spec: TaskSpec) -> str:
        if spec.task in self.broken:
            raise RuntimeError(f"{spec.task} is broken")
        self.started.append(spec)
        return f"task {len(self.started)}"

    def status(self, task_id: str) -> RunStatus:
        raise NotImplementedError(task_id)

    def logs(self, task_id: str) -> Iterator[str]:
        raise NotImplementedError(task_id)

    def cancel(self, task_id: str) -> None:
        raise NotImplementedError(task_id)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def ticker(tmp_path: Path, recorder: Recorder) -> Ticker:
    return Ticker(tmp_path / "schedule.sqlite", recorder)


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def test_a_new_timetable_is_not_due_before_its_time(ticker: Ticker, recorder: Recorder) -> None:
    ticker.put(YEARLY)
    assert ticker.due(now()) == []
    assert ticker.tick(now()) == {}
    assert recorder.started == []


def test_a_missed_time_is_met_once(ticker: Ticker, recorder: Recorder) -> None:
    ticker.put(HOURLY)
    later = now() + 3 * DAY
    assert ticker.due(later) == ["hourly"]
    assert ticker.tick(later) == {"hourly": "task 1"}
    assert ticker.due(later) == []
    assert ticker.tick(later) == {}
    assert ticker.tick(later + dt.timedelta(hours=1)) == {"hourly": "task 2"}
    assert recorder.started == [HOURLY.spec] * 2


def test_a_paused_timetable_does_not_make_up(ticker: Ticker) -> None:
    ticker.put(YEARLY)
    ticker.pause("yearly")
    assert ticker.due(now() + 400 * DAY) == []
    assert ticker.tick(now() + 400 * DAY) == {}
    ticker.pause("yearly", paused=False)
    assert ticker.due(now()) == []
    assert ticker.due(now() + 400 * DAY) == ["yearly"]


def test_saving_again_does_not_forget_a_missed_time(ticker: Ticker, recorder: Recorder) -> None:
    ticker.put(HOURLY)
    later = now() + DAY
    ticker.tick(later)
    other = TaskSpec("etl", {"job": 2}, "local:/x")
    ticker.put(replace(HOURLY, spec=other))
    assert ticker.due(later) == []
    assert ticker.due(later + DAY) == ["hourly"]
    ticker.tick(later + DAY)
    assert recorder.started == [HOURLY.spec, other]


def test_a_broken_task_stays_due_and_does_not_hold_up_the_others(ticker: Ticker, recorder: Recorder) -> None:
    ticker.put(replace(HOURLY, name="a", spec=TaskSpec("bad", {}, "local:/x")))
    ticker.put(replace(HOURLY, name="b"))
    recorder.broken = {"bad"}
    later = now() + DAY
    with pytest.raises(RuntimeError, match="bad is broken"):
        ticker.tick(later)
    assert recorder.started == [HOURLY.spec]
    recorder.broken = set()
    assert ticker.tick(later) == {"a": "task 2"}


def test_of_many_tickers_one_starts_a_task(tmp_path: Path, recorder: Recorder) -> None:
    tickers = [Ticker(tmp_path / "schedule.sqlite", recorder) for _ in range(6)]
    tickers[0].put(HOURLY)
    later, start = now() + DAY, threading.Barrier(len(tickers))
    started: list[dict[str, str]] = []

    def work(ticker: Ticker) -> None:
        start.wait()
        started.append(ticker.tick(later))

    threads = [threading.Thread(target=work, args=(ticker,)) for ticker in tickers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.started == [HOURLY.spec]
    assert sorted(map(len, started)) == [0] * 5 + [1]


def test_a_time_that_spring_skips_is_met_after_the_gap(ticker: Ticker) -> None:
    timetable = replace(HOURLY, cron="30 2 * * *", timezone="Europe/Berlin")
    found = ticker.next_times(timetable, 3, after=dt.datetime(2024, 3, 30, 1, tzinfo=BERLIN))
    assert [time.isoformat() for time in found] == [
        "2024-03-30T02:30:00+01:00", "2024-03-31T03:00:00+02:00", "2024-04-01T02:30:00+02:00",
    ]  # fmt: skip


def test_a_time_that_autumn_repeats_is_met_once(ticker: Ticker) -> None:
    timetable = replace(HOURLY, cron="30 2 * * *", timezone="Europe/Berlin")
    found = ticker.next_times(timetable, 2, after=dt.datetime(2024, 10, 27, 0, tzinfo=BERLIN))
    assert [time.isoformat() for time in found] == ["2024-10-27T02:30:00+02:00", "2024-10-28T02:30:00+01:00"]


def test_a_day_in_another_zone_is_that_zones_day(ticker: Ticker) -> None:
    timetable = replace(HOURLY, cron="0 9 * * *", timezone="Asia/Tokyo")
    (found,) = ticker.next_times(timetable, 1, after=dt.datetime(2024, 1, 1, 1, tzinfo=dt.UTC))
    assert found == dt.datetime(2024, 1, 2, 0, tzinfo=dt.UTC)
    assert found.hour == 9


def test_next_times_take_a_saved_name(ticker: Ticker) -> None:
    ticker.put(HOURLY)
    found = ticker.next_times("hourly")
    assert len(found) == 5
    assert found[0] > now()
    assert {later - sooner for sooner, later in pairwise(found)} == {dt.timedelta(hours=1)}
    with pytest.raises(NotFound, match="'hourly'"):
        ticker.next_times("hourl")
    with pytest.raises(ConfigError, match="cron"):
        ticker.next_times(replace(HOURLY, cron="x"))


def test_a_time_without_a_zone_is_refused(ticker: Ticker) -> None:
    with pytest.raises(ConfigError, match="no zone"):
        ticker.due(dt.datetime(2024, 1, 1))


def test_a_started_ticker_ticks_by_itself_and_outlives_an_error(
    ticker: Ticker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ticks, enough = [0], threading.Event()

    def tick() -> None:
        ticks[0] += 1
        if ticks[0] == 3:
            enough.set()
        raise RuntimeError("this one failed")

    monkeypatch.setattr(ticker, "tick", tick)
    ticker.start(seconds=0.001)
    ticker.start(seconds=0.001)
    assert enough.wait(60)
    ticker.stop()
    seen = ticks[0]
    ticker.stop()
    assert ticks[0] == seen
    assert "this one failed" in caplog.text
