"""The local runner: tasks in threads of this process."""

from __future__ import annotations

import contextvars
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from b2brecs.backends.protocols import RunStatus, TaskSpec
from b2brecs.errors import Cancelled, NotFound

_KEPT = 1000


class TaskCancelled(Exception):
    """Raised by ``Progress.check`` in a task that was asked to stop."""


class Progress:
    """What a running task is given: where to write lines, and whether it was asked to stop.

    Calling it is the same as ``log``.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._stop = threading.Event()
        self._heeded = False

    def log(self, line: str) -> None:
        """Write a line; a text of several lines becomes several."""
        self._lines.extend(str(line).splitlines() or [""])

    __call__ = log

    @property
    def cancelled(self) -> bool:
        """Whether the task was asked to stop."""
        stop = self._stop.is_set()
        self._heeded = self._heeded or stop
        return stop

    def check(self) -> None:
        """End the task here if it was asked to stop.

        Raises
        ------
        TaskCancelled
            It was.
        """
        if self.cancelled:
            raise TaskCancelled


@dataclass
class _Task:
    thread: threading.Thread | None = None
    status: RunStatus = "pending"
    progress: Progress = field(default_factory=Progress)


class ProcessRunner:
    """Runs tasks in threads of this process, which end with it; remembers the last thousand that have ended.

    Parameters
    ----------
    run
        Does a task; given the task and a ``Progress``. What it raises becomes the status ``failed``.
    """

    def __init__(self, run: Callable[[TaskSpec, Progress], object]) -> None:
        self._run = run
        self._tasks: dict[str, _Task] = {}
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"<ProcessRunner: {len(self._tasks)} tasks>"

    def submit(self, spec: TaskSpec) -> str:
        """Start a task and return its id. It sees the caller's context variables."""
        task_id = f"{spec.task}-{uuid.uuid4().hex[:12]}"
        with self._lock:
            ended = [key for key, task in self._tasks.items() if task.status not in ("pending", "running")]
            for key in ended[:-_KEPT]:
                del self._tasks[key]
            task = self._tasks[task_id] = _Task()
        context = contextvars.copy_context()
        task.thread = threading.Thread(
            target=context.run, args=(self._work, task, spec), name=f"b2brecs-{task_id}", daemon=True
        )
        task.thread.start()
        return task_id

    def status(self, task_id: str) -> RunStatus:
        """Return how far a task is.

        Raises
        ------
        NotFound
            This process started no such task.
        """
        return self._task(task_id).status

    def logs(self, task_id: str) -> Iterator[str]:
        """Return the lines a task has written so far.

        Raises
        ------
        NotFound
            This process started no such task.
        """
        return iter(tuple(self._task(task_id).progress._lines))  # noqa: SLF001

    def cancel(self, task_id: str) -> None:
        """Ask a task to stop; it does when it next looks.

        Raises
        ------
        NotFound
            This process started no such task.
        """
        self._task(task_id).progress._stop.set()  # noqa: SLF001

    def statuses(self) -> dict[str, RunStatus]:
        """Return how far every task is that is remembered, by id, the oldest first."""
        with self._lock:
            return {key: task.status for key, task in self._tasks.items()}

    def wait(self, task_id: str, seconds: float | None = None) -> RunStatus:
        """Wait until a task has ended, or ``seconds`` have passed, and return its status.

        Raises
        ------
        NotFound
            This process started no such task.
        """
        task = self._task(task_id)
        if task.thread is not None:
            task.thread.join(seconds)
        return task.status

    def _task(self, task_id: str) -> _Task:
        with self._lock:
            if task_id not in self._tasks:
                raise NotFound("task", task_id, list(self._tasks), where="this process")
            return self._tasks[task_id]

    def _work(self, task: _Task, spec: TaskSpec) -> None:
        progress = task.progress
        if progress.cancelled:
            task.status = "cancelled"
            return
        task.status = "running"
        started = time.monotonic()
        try:
            self._run(spec, progress)
        except (TaskCancelled, Cancelled) as stopped:
            progress.log(f"cancelled after {time.monotonic() - started:.1f} s{f': {stopped}' if str(stopped) else ''}")
            task.status = "cancelled"
        except BaseException as error:  # noqa: BLE001
            progress.log(f"{type(error).__name__}: {error}")
            task.status = "failed"
        else:
            # A task that never looked at the flag did its work to the end.
            task.status = "cancelled" if progress._heeded else "completed"  # noqa: SLF001
