"""Jobs that run by themselves: on time across clock changes, one at a time, after each other, and stoppable."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import b2brecs as b2b
from b2brecs.backends.local.ticker import Ticker
from b2brecs.backends.protocols import RunRecord, RunStatus, TaskSpec, Timetable
from b2brecs.errors import ConfigError, NotFound
from b2brecs.tasks import overlap
from b2brecs.tasks.overlap import enter
from b2brecs.tasks.record import Recording

BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = dt.date(2026, 3, 29), dt.date(2026, 10, 25)
DAY, MINUTE = dt.timedelta(days=1), dt.timedelta(minutes=1)


def nightly(shop, name="nightly", **options):
    return b2b.EtlJob(name, connection=shop).load("one", into=name).schedule(
        b2b.Schedule.daily("02:30", timezone="Europe/Berlin", **options)
    )  # fmt: skip


def ended(ws, count: int) -> list[RunRecord]:
    """Wait for tasks to end, and return the latest runs, the first one first."""
    for task in list(ws.home.runner.statuses()):
        ws.home.runner.wait(task, 60)
    for task in list(ws.home.runner.statuses()):
        assert ws.home.runner.wait(task, 60) not in ("pending", "running"), list(ws.home.runner.logs(task))
    return [page.run for page in ws.runs(limit=count)][::-1]


# Verbs


def test_scheduling_saves_the_job_and_shows_when_it_will_run(ws, shop):
    job = nightly(shop)
    table = ws.schedule(job)
    assert ws.load(b2b.EtlJob, "nightly") == job
    (timetable,) = ws.home.scheduler.list()
    assert timetable == Timetable(
        "nightly", "30 2 * * *", "Europe/Berlin", TaskSpec("etl", {"name": "nightly"}, ws.home.url)
    )
    times = ws.next_runs(job)
    assert [time.strftime("%H:%M") for time in times] == ["02:30"] * 5
    (row,) = table.rows
    assert row[:3] == ["nightly", "30 2 * * *", "Europe/Berlin"]
    assert row[3] == ", ".join(f"{time:%a %d %b %H:%M}" for time in times)
    assert row[4:6] == ["", "never ran"]
    assert ws.next_runs("nightly", 2) == times[:2]
    ws.run("nightly")
    assert ws.schedules().rows[0][5].startswith("completed, ")


def test_pausing_resuming_and_unscheduling(ws, shop):
    job = nightly(shop)
    ws.schedule(job)
    ws.pause(job)
    assert ws.schedules().rows[0][3:5] == ["", "paused"]
    ws.resume("nightly")
    assert ws.schedules().rows[0][4] == ""
    ws.unschedule(job)
    assert ws.schedules().rows == []
    assert ws.load(b2b.EtlJob, "nightly") == job
    with pytest.raises(NotFound, match="timetable"):
        ws.pause(job)


def test_a_job_without_a_timetable_is_not_scheduled(ws, shop):
    job = b2b.EtlJob("j", connection=shop).load("one")
    with pytest.raises(ConfigError, match=r"job\.schedule\('0 2"):
        ws.schedule(job)
    with pytest.raises(ConfigError, match="no timetable"):
        ws.next_runs(job)
    assert ws.list().rows == [ws.list().rows[0]]


def test_a_schedule_that_is_not_the_saved_one_is_told(ws, shop):
    job = nightly(shop)
    ws.schedule(job)
    assert "note" not in ws.schedules().columns
    ws.save(job.schedule("0 4 * * *"))
    assert "saved with 0 4 * * * UTC" in ws.schedules().rows[0][-1]
    ws.schedule("nightly")
    assert ws.schedules().rows[0][1] == "0 4 * * *"


def test_deleting_a_job_ends_its_schedule(ws, shop):
    ws.schedule(nightly(shop))
    ws.delete(b2b.EtlJob, "nightly")
    assert ws.home.scheduler.list() == []


def test_a_circle_of_jobs_is_refused(ws, shop):
    def job(name, *after):
        return b2b.EtlJob(name, connection=shop).load("one", into=name).after(*after)

    with pytest.raises(ConfigError, match="'a' after 'a'"):
        ws.save(job("a", "a"))
    ws.save(job("a"))
    ws.save(job("b", "a"))
    ws.save(job("c", "b"))
    with pytest.raises(ConfigError, match=r"'a' after 'c' after 'b' after 'a'.*Leave one of them out"):
        ws.save(job("a", "c"))
    assert ws.load(b2b.EtlJob, "a").follows == ()
    ws.save(job("d", "a", "b", "c"))
    with pytest.raises(NotFound, match="Did you mean 'c'"):
        ws.schedule(job("e", "cc"))


# Time


def starts(
    tmp_path: Path, cron: str, day: dt.date, zone: ZoneInfo, step: dt.timedelta = 20 * MINUTE
) -> list[dt.datetime]:
    """Tick through a day of a zone and return when a task was started."""
    moments: list[dt.datetime] = []

    class Recorder:
        def submit(self, _spec):
            moments.append(clock[0].astimezone(zone))
            return str(len(moments))

    clock = [dt.datetime.combine(day, dt.time(), zone).astimezone(dt.UTC)]
    end = dt.datetime.combine(day + DAY, dt.time(), zone).astimezone(dt.UTC)
    ticker = Ticker(tmp_path / f"{len(list(tmp_path.iterdir()))}.sqlite", Recorder())  # type: ignore[arg-type]
    ticker.put(Timetable("t", cron, str(zone), TaskSpec("etl", {}, "local:/x")))
    ((_, since),) = ticker._all()
    assert ticker._move("t", since, clock[0] - dt.timedelta(seconds=1))
    while clock[0] < end:
        ticker.tick(clock[0])
        clock[0] += step
    clock[0] = end - dt.timedelta(seconds=1)
    ticker.tick(clock[0])
    return moments


@pytest.mark.parametrize(
    ("day", "at"),
    [(SPRING, "03:00+0200"), (AUTUMN, "02:30+0200"), (SPRING + DAY, "02:30+0200"), (AUTUMN + DAY, "02:30+0100")],
)
def test_a_nightly_job_runs_once_on_the_days_the_clock_changes(tmp_path, day, at):
    assert [moment.strftime("%H:%M%z") for moment in starts(tmp_path, "30 2 * * *", day, BERLIN, 10 * MINUTE)] == [at]


@pytest.mark.parametrize(("day", "count"), [(SPRING, 23), (AUTUMN, 25), (SPRING + DAY, 24)])
def test_an_hourly_job_runs_every_hour_of_a_day_that_is_longer_or_shorter(tmp_path, day, count):
    assert len(starts(tmp_path, "0 * * * *", day, BERLIN)) == count


@pytest.mark.parametrize(("day", "count"), [(SPRING, 92), (AUTUMN, 100)])
def test_a_job_every_quarter_of_an_hour_too(tmp_path, day, count):
    assert len(starts(tmp_path, "*/15 * * * *", day, BERLIN, 5 * MINUTE)) == count


@pytest.mark.parametrize("late", [40, 60, 95, 115])
def test_a_job_that_starts_late_in_the_repeated_hour_is_not_started_again(tmp_path, late):
    """The clock is looked at only some time after 02:30, also when it is 02:30 for the second time."""
    moments = starts(tmp_path, "30 2 * * *", AUTUMN, BERLIN, late * MINUTE)
    assert len(moments) == 1
    again = b2b.Schedule.daily("02:30", timezone="Europe/Berlin").next_times(2, after=moments[0])
    assert [time.date() for time in again] == [AUTUMN + DAY, AUTUMN + 2 * DAY]


def test_a_job_that_is_scheduled_in_the_repeated_hour_runs_the_next_day(tmp_path):
    second = dt.datetime(2026, 10, 25, 1, 10, tzinfo=dt.UTC)  # 02:10 for the second time
    (first, *_) = b2b.Schedule.daily("02:30", timezone="Europe/Berlin").next_times(1, after=second)
    assert first.isoformat() == "2026-10-26T02:30:00+01:00"


CHANGES = [
    (ZoneInfo("Europe/Berlin"), SPRING), (ZoneInfo("Europe/Berlin"), AUTUMN),
    (ZoneInfo("America/New_York"), dt.date(2026, 3, 8)), (ZoneInfo("America/New_York"), dt.date(2026, 11, 1)),
    (ZoneInfo("Australia/Lord_Howe"), dt.date(2026, 4, 5)), (ZoneInfo("Australia/Lord_Howe"), dt.date(2026, 10, 4)),
    (ZoneInfo("Asia/Kolkata"), dt.date(2026, 3, 29)),
]  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    change=st.sampled_from(CHANGES),
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    offset=st.integers(-1, 1),
    step=st.sampled_from([20, 47, 90]),
)
def test_a_daily_time_comes_once_a_day_in_every_zone(tmp_path_factory, change, hour, minute, offset, step):
    zone, day = change
    folder = tmp_path_factory.mktemp("daily")
    assert len(starts(folder, f"{minute} {hour} * * *", day + offset * DAY, zone, step * MINUTE)) == 1


@settings(max_examples=60, deadline=None)
@given(change=st.sampled_from(CHANGES), hour=st.integers(0, 23), minute=st.integers(0, 59))
def test_the_times_that_are_shown_are_one_a_day_and_rise(change, hour, minute):
    zone, day = change
    schedule = b2b.Schedule.daily(f"{hour:02}:{minute:02}", timezone=str(zone))
    times = schedule.next_times(6, after=dt.datetime.combine(day - 3 * DAY, dt.time(), zone))
    assert times == sorted(times, key=lambda time: time.astimezone(dt.UTC))
    assert len({time.date() for time in times}) == 6


def test_of_times_missed_while_nothing_ran_one_is_made_up(ws, shop):
    ws.schedule(nightly(shop))
    later = dt.datetime.now(dt.UTC) + 3 * DAY
    # As another process would find it, days later.
    assert list(Ticker(ws.home.scheduler._path, ws.home.runner).tick(later)) == ["nightly"]
    assert ws.home.scheduler.tick(later) == {}
    (run,) = ended(ws, 1)
    assert (run.name, run.status, run.facts["trigger"]) == ("nightly", "completed", "schedule")


# One at a time


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(overlap, "POLL_S", 0.005)
    monkeypatch.setattr(overlap, "_SETTLE_S", 0.005)


class Gate:
    """Holds a load between its first two batches."""

    def __init__(self) -> None:
        self.reached, self.open = threading.Semaphore(0), threading.Event()

    def __call__(self, number: int) -> None:
        if number == 1:
            self.reached.release()
            self.open.wait(60)


def submit(ws, name="nightly"):
    return ws.home.runner.submit(TaskSpec("etl", {"name": name}, ws.home.url))


@pytest.fixture
def gate(hooks):
    hooks["one"] = gate = Gate()
    yield gate
    gate.open.set()


def test_a_time_that_comes_while_the_job_runs_is_skipped(ws, shop, gate, quick):
    ws.save(nightly(shop))
    first = submit(ws)
    assert gate.reached.acquire(timeout=60)
    second = submit(ws)
    assert ws.home.runner.wait(second, 60) == "completed"
    assert "skipped, as run" in next(ws.home.runner.logs(second))
    gate.open.set()
    assert ws.home.runner.wait(first, 60) == "completed"
    assert [run.status for run in ended(ws, 5)] == ["completed"]


def test_with_queue_it_runs_once_more_right_after_however_often_it_was_due(ws, shop, gate, quick):
    ws.save(nightly(shop, overlap="queue"))
    submit(ws)
    assert gate.reached.acquire(timeout=60)
    waiting = submit(ws)
    while not any(run.status == "pending" for run in ws.home.registry.runs()):
        assert ws.home.runner.wait(waiting, 0.005) == "running"
    more = submit(ws)
    assert ws.home.runner.wait(more, 60) == "completed"
    assert "skipped" in next(ws.home.runner.logs(more))
    first, second = [page.run for page in ws.runs()][::-1]
    assert (first.status, second.status, second.facts["waits_for"]) == ("running", "pending", first.id)
    gate.open.set()
    first, second = ended(ws, 5)
    assert (first.status, second.status) == ("completed", "completed")
    assert second.finished_at is not None
    assert first.finished_at is not None
    assert second.finished_at > first.finished_at


def test_what_waits_can_be_cancelled(ws, shop, gate, quick):
    ws.save(nightly(shop, overlap="queue"))
    submit(ws)
    assert gate.reached.acquire(timeout=60)
    waiting = submit(ws)
    while not any(run.status == "pending" for run in ws.home.registry.runs()):
        assert ws.home.runner.wait(waiting, 0.005) == "running"
    ws.home.runner.cancel(waiting)
    assert ws.home.runner.wait(waiting, 60) == "cancelled"
    gate.open.set()
    assert [run.status for run in ended(ws, 5)] == ["completed", "cancelled"]


def test_a_run_that_fell_silent_is_not_in_the_way(ws, shop, quick):
    ws.save(nightly(shop))
    silent = (dt.datetime.now(dt.UTC) - 2 * MINUTE).isoformat()
    ws.home.registry.log_run(
        RunRecord("dead", "etl_job", "nightly", "running", dt.datetime.now(dt.UTC) - DAY, facts={"heartbeat": silent})
    )
    assert ws.home.runner.wait(submit(ws), 60) == "completed"
    assert ended(ws, 1)[0].status == "completed"


@pytest.mark.parametrize("queue", [False, True])
def test_of_many_that_begin_at_once_one_goes_first(ws, shop, quick, queue):
    """Each enters and leaves; never are two inside."""
    count, inside, most, entered = 8, [0], [0], [0]
    lock, start = threading.Lock(), threading.Barrier(8)

    def work() -> None:
        recording = Recording(ws.home, "etl_job", "nightly", trigger="schedule")
        start.wait(60)
        if enter(ws.home.registry, recording, queue=queue, stop=lambda: False) is not None:
            return
        with lock:
            inside[0] += 1
            entered[0] += 1
            most[0] = max(most[0], inside[0])
        threading.Event().wait(0.02)
        with lock:
            inside[0] -= 1
        recording.end("completed")

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1
    assert entered[0] >= 1
    assert {run.status for run in ws.home.registry.runs()} <= {"completed", "cancelled"}


def test_a_task_that_is_asked_to_stop_leaves_the_table_as_it_was(ws, shop, gate):
    ws.save(nightly(shop))
    task = submit(ws)
    assert gate.reached.acquire(timeout=60)
    ws.home.runner.cancel(task)
    gate.open.set()
    assert ws.home.runner.wait(task, 60) == "cancelled"
    (run,) = ended(ws, 1)
    assert (run.status, run.error) == ("cancelled", "job 'nightly' was stopped. nightly: as it was before.")
    assert ws.home.warehouse.tables() == []


# One after the other


def chain(ws, shop):
    ws.save(b2b.EtlJob("a", connection=shop).load("one", into="a"))
    ws.save(b2b.EtlJob("b", connection=shop).load("one", into="b").after("a"))
    ws.save(b2b.EtlJob("c", connection=shop).load("two", into="c").after("b"))


def test_a_job_that_follows_is_started_when_the_other_completed(ws, shop):
    chain(ws, shop)
    ws.home.runner.wait(submit(ws, "a"), 60)
    runs = {run.name: run for run in ended(ws, 5)}
    while len(runs) < 3:
        runs = {run.name: run for run in ended(ws, 5)}
    assert {name: (run.status, run.facts["trigger"]) for name, run in runs.items()} == {
        "a": ("completed", "schedule"), "b": ("completed", "after a"), "c": ("completed", "after b"),
    }  # fmt: skip
    assert [row[:2] for row in ws.schedules().rows] == [["b", "after a"], ["c", "after b"]]


def test_run_by_hand_they_follow_in_the_same_call_unless_told_not_to(ws, shop):
    chain(ws, shop)
    assert ws.run("a").job == "a"
    assert [page.run.name for page in ws.runs()] == ["c", "b", "a"]
    ws.run("a", follow=False)
    assert [page.run.name for page in ws.runs()] == ["a", "c", "b", "a"]


def test_nothing_follows_a_job_that_failed(ws, shop):
    chain(ws, shop)
    ws.save(ws.load(b2b.EtlJob, "a").load("bad"))
    with pytest.raises(b2b.errors.RunFailed):
        ws.run("a")
    assert ws.home.runner.wait(submit(ws, "a"), 60) == "failed"
    assert {run.name for run in ended(ws, 5)} == {"a"}


def test_a_failure_of_what_follows_is_told(ws, shop):
    chain(ws, shop)
    ws.save(ws.load(b2b.EtlJob, "b").load("bad"))
    with pytest.raises(b2b.errors.RunFailed, match=r"after job 'a', which was loaded: b: job 'b': bad: memory"):
        ws.run("a")
    assert [(page.run.name, page.status) for page in ws.runs()] == [("b", "partial"), ("a", "completed")]


def test_a_circle_that_was_saved_by_other_means_does_not_turn(ws, shop):
    chain(ws, shop)
    document = ws.home.registry.get("etl_job", "a")
    ws.home.registry.put(replace(document, data={**document.data, "follows": ["c"]}, content_hash="x"), expect=1)
    ws.home.runner.wait(submit(ws, "a"), 60)
    names: list[str] = []
    while sorted(names) != ["a", "b", "c"]:
        names = [run.name for run in ended(ws, 9)]
        assert len(names) <= 3
    statuses: set[RunStatus] = set(ws.home.runner.statuses().values())
    assert statuses == {"completed"}
    assert any("in a circle" in line for task in ws.home.runner.statuses() for line in ws.home.runner.logs(task))
