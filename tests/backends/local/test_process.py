"""What only the local runner promises: a task's view of its caller, and honest ends."""

from __future__ import annotations

import contextvars
import threading

import pytest

from b2brecs.backends.local import process
from b2brecs.backends.local.process import ProcessRunner, Progress
from b2brecs.backends.protocols import TaskSpec
from b2brecs.errors import Cancelled, NotFound

SPEC = TaskSpec("etl", {}, "local:/nowhere")


def test_a_plain_function_of_lines_will_do() -> None:
    def work(_spec: TaskSpec, log: object) -> None:
        assert callable(log)
        log("a line")

    runner = ProcessRunner(work)
    task_id = runner.submit(SPEC)
    assert runner.wait(task_id) == "completed"
    assert list(runner.logs(task_id)) == ["a line"]


def test_a_task_sees_the_callers_context() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("the caller's")
    runner = ProcessRunner(lambda _spec, progress: progress.log(variable.get()))
    task_id = runner.submit(SPEC)
    assert runner.wait(task_id) == "completed"
    assert list(runner.logs(task_id)) == ["the caller's"]


def test_a_task_that_never_looks_is_not_called_cancelled() -> None:
    started, release = threading.Event(), threading.Event()

    def work(_spec: TaskSpec, _progress: Progress) -> None:
        started.set()
        release.wait(60)

    runner = ProcessRunner(work)
    task_id = runner.submit(SPEC)
    started.wait(60)
    runner.cancel(task_id)
    release.set()
    assert runner.wait(task_id) == "completed"


def test_a_task_that_returns_when_asked_to_stop_is_cancelled() -> None:
    started, asked = threading.Event(), threading.Event()

    def work(_spec: TaskSpec, progress: Progress) -> None:
        started.set()
        asked.wait(60)
        assert progress.cancelled

    runner = ProcessRunner(work)
    task_id = runner.submit(SPEC)
    started.wait(60)
    runner.cancel(task_id)
    asked.set()
    assert runner.wait(task_id) == "cancelled"


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), ValueError("line one\nline two")])
def test_whatever_a_task_raises_is_a_failure(error: BaseException) -> None:
    def work(_spec: TaskSpec, _progress: Progress) -> None:
        raise error

    runner = ProcessRunner(work)
    task_id = runner.submit(SPEC)
    assert runner.wait(task_id) == "failed"
    assert list(runner.logs(task_id))[-1] == (str(error).splitlines()[-1:] or [""])[0] or type(error).__name__


def test_lines_are_seen_while_a_task_runs() -> None:
    wrote, release = threading.Event(), threading.Event()

    def work(_spec: TaskSpec, progress: Progress) -> None:
        progress.log("half way")
        wrote.set()
        release.wait(60)

    runner = ProcessRunner(work)
    task_id = runner.submit(SPEC)
    wrote.wait(60)
    assert (runner.status(task_id), list(runner.logs(task_id))) == ("running", ["half way"])
    release.set()
    assert runner.wait(task_id) == "completed"


def test_waiting_for_an_unknown_task_is_not_found() -> None:
    with pytest.raises(NotFound):
        ProcessRunner(lambda _spec, _progress: None).wait("x")


def test_a_task_that_stopped_as_asked_is_cancelled() -> None:
    def work(_spec: TaskSpec, _progress: Progress) -> None:
        raise Cancelled("o: as it was before")

    runner = ProcessRunner(work)
    task_id = runner.submit(SPEC)
    assert runner.wait(task_id) == "cancelled"
    assert list(runner.logs(task_id))[-1].endswith("s: o: as it was before")


def test_a_runner_that_lives_long_forgets_what_ended_long_ago(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_KEPT", 3)
    release = threading.Event()
    runner = ProcessRunner(lambda spec, _progress: release.wait(60) if spec.config else None)
    waiting = runner.submit(TaskSpec("etl", {"wait": True}, ""))
    ended = []
    for _ in range(10):
        ended.append(runner.submit(SPEC))
        assert runner.wait(ended[-1]) == "completed"
    assert list(runner.statuses()) == [waiting, *ended[-4:]]
    assert runner.statuses()[waiting] == "running"
    with pytest.raises(NotFound):
        runner.status(ended[0])
    release.set()
    assert runner.wait(waiting) == "completed"
