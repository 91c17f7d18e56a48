"""Messages of a subscription into a table: small batches, each one commit, acknowledged after it.

A message is acknowledged only when its row is visible, so none is lost. One that comes again, since the process died
between the two or since Pub/Sub sent it twice, replaces its own row, so none is doubled.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import logging
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import pyarrow as pa
from tenacity import Retrying, before_sleep_log, retry_if_exception, stop_after_delay, wait_exponential_jitter

from b2brecs.backends.protocols import Change, LoadState, Staged, Warehouse
from b2brecs.configs.etl import TableLoad
from b2brecs.errors import B2BRecsError, LoadError, WarehouseError
from b2brecs.etl.around import OnProgress, existing
from b2brecs.etl.cast import Caster, finite_max, json_value
from b2brecs.etl.plan import Known, LoadPlan, facts, plan
from b2brecs.etl.rejects import RejectLog
from b2brecs.etl.results import EtlResult, TableResult
from b2brecs.sources import OnReject, Reject
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

T = TypeVar("T")

KEY, TIME = "message_id", "publish_time"
# How long a pull waits before it is asked whether to stop.
_WAIT = 2.0
# Seconds for which faults that may pass are borne.
_PATIENCE = 600.0
_log = logging.getLogger(__name__)


class MessageSource(Protocol):
    """A source of messages, such as ``b2brecs.sources.pubsub:PubSubSource``."""

    def schema(self, table: str) -> TableSchema:
        """Return the columns."""
        ...

    def pull(
        self, max_messages: int, timeout: float, *, on_reject: OnReject | None = None
    ) -> tuple[pa.RecordBatch, list[str]]:
        """Return messages, and the ids by which they are acknowledged."""
        ...

    def acknowledge(self, ack_ids: Sequence[str]) -> None:
        """Say that messages need not come again."""
        ...

    def release(self, ack_ids: Sequence[str]) -> None:
        """Give messages back, so that they come again at once."""
        ...

    def leased(self, ack_ids: Sequence[str]) -> AbstractContextManager[None]:
        """Hold on to messages while they are worked on."""
        ...


def stream(
    job_name: str,
    load: TableLoad,
    source: MessageSource,
    warehouse: Warehouse,
    *,
    batches: int | None = None,
    seconds: float | None = None,
    stop: Callable[[], bool] | None = None,
    max_messages: int = 1000,
    on_progress: OnProgress | None = None,
) -> EtlResult:
    """Load messages as they come, until ``stop`` says so or ``batches`` or ``seconds`` are over.

    Several processes may load the same subscription into one table: their commits follow each other.

    Parameters
    ----------
    job_name
        The job, as the state of the load names it.
    load
        The table: its target, columns, types and ``max_rejects``. The key is always ``message_id``.
    batches
        How many commits to make.
    seconds
        How long to go on, idle or not. The batch at hand is finished.
    stop
        Asked between batches, and every two seconds while none come.
    max_messages
        How many messages a commit holds at most.
    on_progress
        Called with stage, rows, rows expected (None) and bytes.

    Returns
    -------
    EtlResult
        What was done. If something failed, it is said there; what was not committed comes again.
    """
    work = _Stream(job_name, load, source, warehouse, _Clock(seconds, stop), max_messages, on_progress)
    started = dt.datetime.now(dt.UTC)
    try:
        while (batches is None or work.batches < batches) and not work.clock.is_over():
            work.step()
    except B2BRecsError as error:
        _log.error("%s: %s", load.target, error)
        work.note(status="failed", error=str(error), error_class=type(error).__name__, error_stage=work.stage)
    return EtlResult(job_name, work.run, (work.result,), started, dt.datetime.now(dt.UTC))


class _Clock:
    """Knows when a stream is over."""

    def __init__(self, seconds: float | None, stop: Callable[[], bool] | None) -> None:
        self.until = None if seconds is None else time.monotonic() + seconds
        self.stop = stop

    def left(self, most: float) -> float:
        return most if self.until is None else max(0.0, min(most, self.until - time.monotonic()))

    def is_over(self) -> bool:
        return self.left(1) == 0 or self.is_stopped()

    def is_stopped(self) -> bool:
        return self.stop is not None and self.stop()

    def sleep(self, seconds: float) -> None:
        """Sleep, unless it is time to stop."""
        wake = time.monotonic() + seconds
        while (rest := wake - time.monotonic()) > 0 and not self.is_stopped():
            time.sleep(min(rest, 0.2))


class _Stream:
    """One stream. ``result`` is what was done so far."""

    def __init__(
        self,
        job: str,
        load: TableLoad,
        source: MessageSource,
        warehouse: Warehouse,
        clock: _Clock,
        max_messages: int,
        on_progress: OnProgress | None,
    ) -> None:
        self.load, self.source, self.warehouse, self.clock = load, source, warehouse, clock
        self.key, self.max_messages, self.on_progress = f"{job}/{load.target}", max_messages, on_progress
        self.run, self.batches, self.stage = uuid.uuid4().hex[:12], 0, "validation"
        self.result = TableResult(load.target, "unchanged", load.source, "stream", "stream")
        self._planned: LoadPlan | None = None
        self._before: LoadState | None = None

    def step(self) -> None:
        """Pull, commit, acknowledge; without messages do nothing."""
        planned = self._planned or self._prepare()
        run = f"{self.run}-{self.batches + 1:06}"
        with RejectLog(self.load.target, run, self.load.max_rejects) as rejects:
            self.stage = "extraction"
            began = time.perf_counter()
            batch, ack_ids = self._patiently(lambda: self._pull(planned, rejects), self.clock.is_over)
            self._spent("extraction", began)
            if not ack_ids:
                return
            began = time.perf_counter()
            try:
                with self.source.leased(ack_ids):
                    self.stage = "load"
                    self._commit(planned, run, batch, rejects, len(ack_ids))
            except BaseException:
                self.source.release(ack_ids)
                raise
            self._spent("load", began)
        self._acknowledge(ack_ids)

    def note(self, **fields: Any) -> None:
        """Change the result."""
        self.result = dataclasses.replace(self.result, **fields)

    def _prepare(self) -> LoadPlan:
        """Plan the load, by what the table and the last stream were."""
        load = self.load
        if load.rules or load.snapshot_history:
            raise LoadError(
                f"table {load.target!r}: a stream is not held against rules and keeps no daily snapshots. "
                "Leave rules= and snapshot_history= out."
            )
        found = self.source.schema(load.source)
        columns = tuple(dict.fromkeys((KEY, TIME, *load.columns))) if load.columns else ()
        streamed = load.changed(strategy="transactional", watermark=TIME, primary_key=(KEY,), columns=columns)
        target, before = existing(self.warehouse, load.target), self.warehouse.state(self.key)
        known = json.loads(before.facts) if before else {}
        kept = Known(known.get("columns", {}), known.get("names", {})) if known else None
        self._planned, self._before = plan(streamed, found, target, kept), before
        low = before.watermark if before else None
        total = (target.rows or 0) if target is not None else 0
        self.note(watermark_before=low, watermark_after=low, drift=self._planned.drift, rows_total=total)
        return self._planned

    def _pull(self, planned: LoadPlan, rejects: RejectLog) -> tuple[pa.RecordBatch, list[str]]:
        names = dict(zip(planned.read.names, planned.write.names, strict=True))

        def take(reject: Reject) -> None:
            rejects(dataclasses.replace(reject, column=names.get(reject.column, reject.column)))

        return self.source.pull(self.max_messages, self.clock.left(_WAIT), on_reject=take)

    def _commit(self, planned: LoadPlan, run: str, batch: pa.RecordBatch, rejects: RejectLog, read: int) -> None:
        caster = Caster(planned.write, self.warehouse.bounds, rejects)
        rows = caster.cast(batch.select(list(planned.read.names)))
        rejects.check(read)
        refused = list(rejects.batches())
        assert planned.watermark is not None
        state = LoadState(
            self.key, _later(finite_max(rows.column(planned.watermark)), self._before), run, rows.num_rows,
            json.dumps(facts(planned, settings=self.load.to_json())),
        )  # fmt: skip

        def attempt() -> int:
            staged = [self.warehouse.stage(planned.write, run, iter([rows]))]
            changes = [Change(staged[0], "merge", planned.keys, partition=planned.watermark)]
            if rejects.count:
                staged.append(self.warehouse.stage(rejects.schema, run, iter(refused)))
                changes.append(Change(staged[1], "replace", ("row", "column")))
            try:
                expect = self._before.run if self._before else None
                return self.warehouse.commit(changes, state=state, expect=expect)
            except B2BRecsError as error:
                self._take_back(staged)
                raise self._overtaken(error) from error

        total = self._patiently(attempt, self.clock.is_stopped)
        self._before = state
        self.batches += 1
        done = self.result
        self.note(
            status="completed", parts=self.batches, rows_read=done.rows_read + read,
            rows_loaded=done.rows_loaded + rows.num_rows, rows_rejected=done.rows_rejected + rejects.count,
            rows_total=total, bytes=done.bytes + batch.nbytes, watermark_after=state.watermark,
        )  # fmt: skip
        if self.on_progress is not None:
            self.on_progress(f"{self.load.target}: streaming", self.result.rows_read, None, self.result.bytes)

    def _overtaken(self, error: B2BRecsError) -> B2BRecsError:
        """Return an error to try again after, if another stream has committed meanwhile: merges may follow it."""
        if not isinstance(error, LoadError):
            return error
        standing = self.warehouse.state(self.key)
        if (standing.run if standing else None) == (self._before.run if self._before else None):
            return error
        self._before = standing
        return _Overtaken(str(error))

    def _take_back(self, staged: Sequence[Staged]) -> None:
        for each in staged:
            try:
                self.warehouse.drop(each.name)
            except WarehouseError as error:
                _log.warning("staged rows were left behind: %s", error)

    def _acknowledge(self, ack_ids: Sequence[str]) -> None:
        try:
            self.source.acknowledge(ack_ids)
        except B2BRecsError as error:
            # The rows are there; messages that come again replace themselves.
            _log.warning("%d messages could not be acknowledged and will come again: %s", len(ack_ids), error)

    def _patiently(self, act: Callable[[], T], over: Callable[[], bool]) -> T:
        """Do something, again and again while its fault may pass and it is not over."""
        late = stop_after_delay(_PATIENCE)
        return Retrying(
            stop=lambda state: late(state) or over(),
            wait=wait_exponential_jitter(initial=0.2, max=30, jitter=0.5),
            retry=retry_if_exception(lambda error: bool(getattr(error, "transient", False))),
            sleep=self.clock.sleep,
            before_sleep=before_sleep_log(_log, logging.WARNING),
            reraise=True,
        )(act)

    def _spent(self, stage: str, began: float) -> None:
        spent = {**self.result.stages, stage: self.result.stages.get(stage, 0.0) + time.perf_counter() - began}
        self.note(stages=spent, seconds=sum(spent.values()))


class _Overtaken(LoadError):
    """Another stream committed first."""

    transient = True


def _later(high: Any, before: LoadState | None) -> str | None:
    """Return the later of the times of this batch and those before, as messages come in no order."""
    low = before.watermark if before else None
    if high is None or (low is not None and dt.datetime.fromisoformat(json.loads(low)) > high):
        return low
    return json_value(high)


__all__ = ["MessageSource", "stream"]
