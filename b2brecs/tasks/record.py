"""The record of a run while it goes on: begun, kept alive by a heartbeat, ended once."""

from __future__ import annotations

import datetime as dt
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from b2brecs.backends.protocols import Home, RunRecord, RunStatus
from b2brecs.display.progress import Meter
from b2brecs.tasks.log import RunLog

_log = logging.getLogger(__name__)
# What goes to it is in the run's own log already.
_progress_log = logging.getLogger("b2brecs")
BEAT_S = 15.0
_LINE_EVERY_S = 10.0


class Recording:
    """Writes one run to the registry and to its log.

    While it goes on, the fact ``heartbeat`` is renewed every 15 s with how far the run is, so that a run whose
    process was killed can be told from one that works.

    Parameters
    ----------
    home
        Where it is written.
    kind, name
        Of what is run.
    trigger
        Who started it: ``hand``, ``schedule``, ``after <job>``.
    """

    def __init__(self, home: Home, kind: str, name: str, *, trigger: str) -> None:
        self.id = uuid.uuid4().hex[:12]
        self.log = RunLog(home, self.id)
        self._registry = home.registry
        self._record = RunRecord(
            self.id, kind, name, "pending", _now(),
            facts={"trigger": trigger, "host": socket.gethostname(), "pid": os.getpid()},
        )  # fmt: skip
        self._meter = Meter("rows")
        self._progress: dict[str, Any] = {}
        self._stages: dict[str, float] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def record(self) -> RunRecord:
        """The run as it was written last."""
        return self._record

    def write(self, status: RunStatus, **facts: Any) -> None:
        """Write the run with a status; from the first time on it is kept alive."""
        if self._thread is None:
            self.log.open()
        with self._lock:
            self._put(replace(self._record, status=status, facts={**self._record.facts, **facts}))
        if self._thread is None:
            self._thread = threading.Thread(target=self._beat, name=f"b2brecs-beat-{self.id}", daemon=True)
            self._thread.start()
            line = f"{self._record.kind} {self._record.name}: run {self.id}, started by {self._record.facts['trigger']}"
            self.log.line(line)
            _progress_log.info("%s", line)

    def report(self, stage: str, done: int, total: int | None, size: int = 0) -> None:
        """Take how far a stage is, for the heartbeat; the log gets a line now and then."""
        reading = self._meter.take(stage, done, total, size)
        now = time.monotonic()
        with self._lock:
            rows, held = self._meter.totals()
            self._progress = {"stage": stage, "rows": rows, "bytes": held}
            due = now - self._stages.get(stage, float("-inf")) >= _LINE_EVERY_S
            if due:
                self._stages[stage] = now
        if due:
            self.log.line(str(reading))

    def end(self, status: RunStatus, error: str = "", facts: Mapping[str, Any] | None = None) -> None:
        """Write how the run came out, and close its log."""
        if self._ended.is_set():
            return
        self._ended.set()
        error = self.log.scrub(error)
        self.log.line(f"{status}{': ' if error else ''}{error}")
        self.log.close()
        # The heartbeat holds the lock while it writes: nothing of it can come after this.
        with self._lock:
            told = {"progress": dict(self._progress)} if self._progress else {}
            self._put(
                replace(
                    self._record, status=status, finished_at=_now(), error=error,
                    facts={**self._record.facts, **told, **self.log.scrub(dict(facts or {}))},
                )
            )  # fmt: skip

    def _put(self, record: RunRecord) -> None:
        self._record = replace(record, facts={**record.facts, **self.log.kept, "heartbeat": _now().isoformat()})
        self._registry.log_run(self._record)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with self._lock:
                if self._ended.is_set():
                    return
                facts = {**self._record.facts, **({"progress": dict(self._progress)} if self._progress else {})}
                try:
                    self._put(replace(self._record, facts=facts))
                except Exception as error:  # noqa: BLE001 - the registry may come back; the run goes on
                    _log.warning("the heartbeat of run %s was not written: %s", self.id, error)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
