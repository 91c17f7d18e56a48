"""A run's record: a heartbeat while it goes on, one end, and a registry that may be away for a while."""

from __future__ import annotations

import threading

import pytest

import b2brecs as b2b
from b2brecs.backends.protocols import RunRecord
from b2brecs.errors import B2BRecsError
from b2brecs.tasks import record
from b2brecs.tasks.record import Recording


class Watched:
    """A registry that remembers what is logged, and fails when told to."""

    def __init__(self) -> None:
        self.logged: list[RunRecord] = []
        self.failing = False
        self.beaten, self.failed = threading.Event(), threading.Event()

    def log_run(self, run: RunRecord) -> None:
        if self.failing:
            self.failed.set()
            raise B2BRecsError("away")
        self.logged.append(run)
        if len(self.logged) > 2:
            self.beaten.set()


@pytest.fixture
def home(tmp_path, monkeypatch):
    from dataclasses import replace

    monkeypatch.setattr(record, "BEAT_S", 0.005)
    with b2b.Workspace.local(tmp_path) as ws:
        yield replace(ws.home, registry=Watched())  # type: ignore[arg-type]


def test_the_heartbeat_carries_the_progress_and_ends_with_the_run(home):
    recording = Recording(home, "etl_job", "j", trigger="hand")
    recording.write("running")
    recording.report("o: reading", 50, 100, 2_000)
    recording.report("o: load", 50, 100, 2_000)
    home.registry.beaten.clear()
    home.registry.logged.clear()
    assert home.registry.beaten.wait(60)
    beats = list(home.registry.logged)
    assert {run.status for run in beats} == {"running"}
    assert len({run.facts["heartbeat"] for run in beats}) == len(beats)
    assert beats[-1].facts["progress"] == {"stage": "o: load", "rows": 50, "bytes": 2_000}
    recording.end("completed", facts={"rows": 50})
    recording.end("failed", "too late")
    assert recording._thread is not None
    recording._thread.join(60)
    last = home.registry.logged[-1]
    assert (last.status, last.error, last.facts["rows"]) == ("completed", "", 50)
    assert [run.status for run in home.registry.logged].count("completed") == 1


def test_a_registry_that_is_away_stops_no_run(home, caplog):
    recording = Recording(home, "etl_job", "j", trigger="hand")
    recording.write("running")
    home.registry.failing = True
    assert home.registry.failed.wait(60)
    home.registry.failing = False
    home.registry.beaten.clear()
    assert home.registry.beaten.wait(60)
    recording.end("completed")
    assert home.registry.logged[-1].status == "completed"
    assert "the heartbeat of run" in caplog.text
