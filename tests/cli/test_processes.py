"""The program as a container runs it: signals, streams, exit codes, and a scheduler that keeps the clock."""

from __future__ import annotations

import datetime as dt
import json
import signal
import sqlite3
import time
from dataclasses import replace
from pathlib import Path

import pytest

import b2brecs as b2b


def make_due(home: Path) -> None:
    """Let every timetable have been looked at last a day ago."""
    before = (dt.datetime.now(dt.UTC) - dt.timedelta(days=1)).isoformat(timespec="microseconds")
    with sqlite3.connect(home / "schedule.sqlite") as connection:
        connection.execute("UPDATE timetables SET since = ?", (before,))
    connection.close()


@pytest.fixture
def schedule(home: Path):
    """Schedule a job of some tables so that it is due."""

    def make(*tables: str, name: str = "nightly") -> None:
        with b2b.Workspace.local(home) as ws:
            job = b2b.EtlJob(name, connection="shop")
            for table in tables:
                job = job.load(table, into=f"{name}_{table}")
            if name in [row[1] for row in ws.list(b2b.EtlJob).rows]:
                ws.load(b2b.EtlJob, name)
            ws.schedule(job.schedule("0 * * * *"))
        make_due(home)

    return make


def statuses(home: Path) -> list[tuple[str, str]]:
    with b2b.Workspace.local(home) as ws:
        return [(page.run.name, page.status) for page in ws.runs()]


def test_results_go_to_stdout_and_the_log_to_stderr(start, home):
    process = start("jobs", "run", "nightly", "--json")
    answer = process.end()
    assert answer.code == 0
    assert json.loads(answer.out)[0]["status"] == "completed"
    assert "INFO Loading nightly: done in" in answer.err
    quiet = start("--quiet", "jobs", "list").end()
    assert (quiet.code, quiet.err) == (0, "")
    assert "nightly" in quiet.out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_is_told_to_end_is_130_and_leaves_nothing_half_written(start, home, number):
    with b2b.Workspace.local(home) as ws:
        ws.save(ws.load(b2b.EtlJob, "nightly").load("endless"))
    process = start("jobs", "run", "nightly", "--json")
    process.until("loading")
    process.popen.send_signal(number)
    answer = process.end()
    assert answer.code == 130
    assert json.loads(answer.out)[0]["status"] == "cancelled"
    assert "one: loaded, 4 rows; two: loaded, 4 rows; endless: as it was before" in answer.err
    assert "Traceback" not in answer.err
    with b2b.Workspace.local(home) as ws:
        assert ws.home.warehouse.tables() == ["one", "two"]


def test_once_does_what_is_due_with_all_that_follows_and_exits(start, home, schedule):
    schedule("one")
    with b2b.Workspace.local(home) as ws:
        ws.save(b2b.EtlJob("later", connection="shop").load("two").after("nightly"))
    answer = start("scheduler", "--once").end()
    assert answer.code == 0, answer.err
    assert statuses(home) == [("later", "completed"), ("nightly", "completed")]
    assert start("scheduler", "--once").end().code == 0
    assert len(statuses(home)) == 2


def test_once_is_code_1_when_something_failed(start, home, schedule):
    schedule("one", "bad")
    answer = start("scheduler", "--once").end()
    assert answer.code == 1
    assert "bad: memory: it is bad" in answer.err
    assert "Traceback" not in answer.err


def test_the_scheduler_starts_what_is_due_and_ends_when_told(start, home, schedule):
    schedule("one")
    process = start("scheduler", "--every", "0.1")
    process.until("completed")
    # A job that is scheduled while it runs is seen without a restart.
    schedule("two", name="second")
    process.until("second is due")
    process.until("completed")
    process.popen.send_signal(signal.SIGTERM)
    answer = process.end()
    assert answer.code == 0, answer.err
    assert "SIGTERM" in answer.err
    assert sorted(set(statuses(home))) == [("nightly", "completed"), ("second", "completed")]


def test_a_running_job_is_waited_for_and_then_cancelled(start, home, schedule):
    schedule("one", "endless")
    process = start("scheduler", "--every", "0.1", "--grace", "0.2")
    process.until("loading")
    process.popen.send_signal(signal.SIGTERM)
    answer = process.end()
    assert answer.code == 130, answer.err
    assert "ending; 1 running are given 0.2 s" in answer.err
    assert statuses(home) == [("nightly", "cancelled")]
    with b2b.Workspace.local(home) as ws:
        assert ws.home.warehouse.tables() == ["nightly_one"]


def test_a_second_signal_does_not_wait(start, home, schedule):
    schedule("endless")
    process = start("scheduler", "--every", "0.1", "--grace", "100000")
    process.until("loading")
    process.popen.send_signal(signal.SIGTERM)
    process.until("are given")
    process.popen.send_signal(signal.SIGINT)
    answer = process.end()
    assert answer.code == 130
    assert statuses(home) == [("nightly", "cancelled")]


def test_a_scheduler_that_was_killed_is_taken_over_by_the_next(start, home, schedule):
    schedule("endless")
    process = start("scheduler", "--every", "0.1")
    process.until("loading")
    process.popen.kill()
    process.end()
    assert statuses(home) == [("nightly", "running")]
    with b2b.Workspace.local(home) as ws:
        (run,) = ws.home.registry.runs()
        silent = (dt.datetime.now(dt.UTC) - dt.timedelta(minutes=2)).isoformat()
        ws.home.registry.log_run(replace(run, facts={"heartbeat": silent}))
    schedule("one")
    assert start("scheduler", "--once").end().code == 0
    assert statuses(home) == [("nightly", "completed"), ("nightly", "lost")]


def test_two_schedulers_on_one_home_start_each_job_once(start, home, schedule):
    schedule("one")
    schedule("two", name="second")
    both = [start("scheduler", "--once") for _ in range(2)]
    answers = [process.end() for process in both]
    assert [answer.code for answer in answers] == [0, 0], [answer.err for answer in answers]
    assert sorted(statuses(home)) == [("nightly", "completed"), ("second", "completed")]


def test_a_home_in_the_cloud_keeps_its_own_clock(start):
    answer = start("--home", "gcp://acme/europe-west1", "scheduler").end()
    assert answer.code == 2
    assert "its clock is kept elsewhere" in answer.err


def test_a_stream_ends_well_when_told_to(start, home, pubsub_emulator):
    pytest.importorskip("google.cloud.pubsub_v1")
    from tests.etl.test_streaming import Subscription

    bus = Subscription(pubsub_emulator.project)
    bus.publish({"id": 1}, {"id": 2})
    with b2b.Workspace.local(home) as ws:
        ws.save(b2b.Connection.pubsub("bus", project=bus.project, subscription=bus.name, fields={"id": "INT64"}))
        ws.save(b2b.EtlJob("events", connection="bus").load(bus.name, into="events"))
    process = start("jobs", "stream", "events", "--json")
    process.until("etl_job events: run")
    with b2b.Workspace.local(home) as ws:
        while "events: streaming" not in ws.run_log(ws.home.registry.runs()[0].id):
            assert process.popen.poll() is None
            time.sleep(0.05)
    process.popen.send_signal(signal.SIGTERM)
    answer = process.end()
    bus.close()
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)[0]["status"] == "completed"
