"""Of several runs of a job, one at a time: the record of a run that goes on is the lease."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from b2brecs.backends.protocols import Registry, RunRecord
from b2brecs.display.runs import status_now
from b2brecs.errors import Cancelled
from b2brecs.tasks.record import Recording

_log = logging.getLogger(__name__)
POLL_S = 1.0
_SETTLE_S, _LOOKS = 0.1, 5
_LATEST = 50


def enter(registry: Registry, recording: Recording, *, queue: bool, stop: Callable[[], bool]) -> RunRecord | None:
    """Begin a run unless another of the same job goes on.

    A run is in once it is written as running and then sees nobody else running. A run that has been silent for a
    minute is no longer in the way.

    Parameters
    ----------
    queue
        Wait for the other to end, if nobody waits already, instead of giving up.
    stop
        Asked while waiting.

    Returns
    -------
    RunRecord | None
        The run in the way; None when this one has begun.

    Raises
    ------
    Cancelled
        ``stop`` said yes while waiting.
    """
    written = False
    while True:
        others = _active(registry, recording)
        ahead = [other for other in others if other.status == "running" or _order(other) < _order(recording.record)]
        if not ahead:
            recording.write("running")
            written = True
            if _alone(registry, recording):
                return None
            recording.write("pending")
            continue
        waiting = any(other.status == "pending" for other in ahead)
        if not queue or waiting:
            if written:
                recording.end("cancelled", f"run {ahead[0].id} goes on", {"skipped": ahead[0].id})
            else:
                recording.log.close()
            return ahead[0]
        if not written:
            recording.write("pending", waits_for=ahead[0].id)
            recording.log.line(f"waits for run {ahead[0].id}")
            written = True
        if stop():
            recording.end("cancelled", "stopped while it waited")
            raise Cancelled(f"{recording.record.name!r} was stopped while it waited for run {ahead[0].id}")
        time.sleep(POLL_S)


def _alone(registry: Registry, recording: Recording) -> bool:
    """Say whether nobody else runs. Of two that began at once, the later steps back, and the first waits for it."""
    for _ in range(_LOOKS):
        rivals = [other for other in _active(registry, recording) if other.status == "running"]
        if not rivals:
            return True
        if any(_order(rival) < _order(recording.record) for rival in rivals):
            return False
        time.sleep(_SETTLE_S)
    return False


def _active(registry: Registry, recording: Recording) -> list[RunRecord]:
    mine = recording.record
    return [
        run
        for run in registry.runs(mine.kind, mine.name, limit=_LATEST)
        if run.id != mine.id and run.status in ("running", "pending") and status_now(run) != "lost"
    ]


def _order(run: RunRecord) -> tuple[str, str]:
    return run.started_at.isoformat(), run.id
