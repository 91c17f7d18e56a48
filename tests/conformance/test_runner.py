"""The runner's contract: tasks run beside the caller, say what they do, fail visibly, and stop when asked."""

from __future__ import annotations

import time
from typing import Any

import pytest

from b2brecs.backends.protocols import Runner, RunStatus, TaskSpec
from b2brecs.errors import NotFound


def task(name: str = "etl", **config: Any) -> TaskSpec:
    return TaskSpec(name, config, "local:/nowhere")


def end(runner: Runner, task_id: str) -> RunStatus:
    """Wait for a task's end; the limit only keeps a broken runner from hanging the tests."""
    limit = time.monotonic() + 60
    while runner.status(task_id) in {"pending", "running"} and time.monotonic() < limit:
        time.sleep(0.005)
    return runner.status(task_id)


class TestRunner:
    def test_a_task_completes_and_its_lines_are_kept(self, runner: Runner) -> None:
        task_id = runner.submit(task(say=["reading", "Größe 😀", "two\nlines", ""]))
        assert end(runner, task_id) == "completed"
        assert list(runner.logs(task_id)) == ["reading", "Größe 😀", "two", "lines", ""]

    def test_a_failure_is_a_status_with_the_error_in_the_last_line(self, runner: Runner) -> None:
        task_id = runner.submit(task(say=["reading"], fail="column 'x' is gone"))
        assert end(runner, task_id) == "failed"
        assert list(runner.logs(task_id)) == ["reading", "ValueError: column 'x' is gone"]

    def test_a_task_that_is_asked_to_stop_is_cancelled(self, runner: Runner) -> None:
        task_id = runner.submit(task("wait for cancel"))
        assert runner.status(task_id) in {"pending", "running"}
        runner.cancel(task_id)
        assert end(runner, task_id) == "cancelled"

    def test_cancelling_what_has_ended_changes_nothing(self, runner: Runner) -> None:
        task_id = runner.submit(task())
        assert end(runner, task_id) == "completed"
        runner.cancel(task_id)
        assert runner.status(task_id) == "completed"

    def test_tasks_run_side_by_side(self, runner: Runner) -> None:
        waiting = runner.submit(task("wait for cancel"))
        others = [runner.submit(task(say=[str(number)])) for number in range(5)]
        assert len({waiting, *others}) == 6
        assert [end(runner, other) for other in others] == ["completed"] * 5
        assert [list(runner.logs(other)) for other in others] == [[str(number)] for number in range(5)]
        assert runner.status(waiting) == "running"
        runner.cancel(waiting)
        assert end(runner, waiting) == "cancelled"

    def test_an_unknown_task_is_not_found(self, runner: Runner) -> None:
        for ask in (runner.status, runner.logs, runner.cancel):
            with pytest.raises(NotFound):
                ask("no-such-task")
