"""One table: read what changed, stage it, check it, and one commit of rows, rejects and state."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from b2brecs.backends.protocols import Change, LoadState, Staged
from b2brecs.configs.etl import TableLoad
from b2brecs.configs.rules import Rule
from b2brecs.errors import LoadError, WarehouseError
from b2brecs.etl import commits
from b2brecs.etl.around import Surroundings, Tally, existing
from b2brecs.etl.cast import json_value, row_text
from b2brecs.etl.extract import Extraction
from b2brecs.etl.filesets import changes_of, file_results, stamps, whole_or_changed
from b2brecs.etl.parts import choose, cut, cut_files
from b2brecs.etl.plan import Known, LoadPlan, facts, plan, remembered
from b2brecs.etl.rejects import RejectLog
from b2brecs.etl.results import TableResult
from b2brecs.etl.tracking import FileChanges
from b2brecs.etl.watermark import bounded, step_back
from b2brecs.sources import Part, Reject, Since, SourceFile
from b2brecs.types import TableSchema

if TYPE_CHECKING:
    import pyarrow as pa


class TableRun:
    """The load of one table, step by step. ``result`` is what is known so far, also after a failure."""

    def __init__(self, load: TableLoad, around: Surroundings) -> None:
        self.load, self.around = load, around
        self.source, self.warehouse = around.source, around.warehouse
        self.key = f"{around.job.name}/{load.target}"
        self.settings = load.changed(rules=(), max_rejects=0).to_json()
        self.result = TableResult(load.target, "failed", load.source, load.strategy)
        self.tally = Tally()
        self._staged: list[Staged] = []
        self._stage = "validation"

    def __call__(self) -> TableResult:
        """Load the table.

        Raises
        ------
        B2BRecsError
            What failed; nothing of this run is visible then.
        """
        try:
            with RejectLog(self.load.target, self.around.run, self.load.max_rejects) as rejects:
                self._load(rejects)
        except BaseException:
            self._note(error_stage=self._stage, rows_read=self.tally.rows, bytes=self.tally.bytes)
            self._take_back()
            raise
        return self.result

    def _load(self, rejects: RejectLog) -> None:
        load = self.load
        with self._timed("validation"):
            target = existing(self.warehouse, load.target)
            before = self.warehouse.state(self.key)
            # Without its table a state means nothing: start over.
            standing = before if target is not None else None
            known = json.loads(standing.facts) if standing else {}
            low = standing.watermark if standing else None
            self._note(watermark_before=low, watermark_after=low, rows_total=_rows(target))
            listed = self.source.files(load.source)
            changes = changes_of(listed, known, self.settings) if listed is not None else None
            if changes is not None and not changes and target is not None:
                self._note(status="unchanged", files=file_results(changes))
                return
            planned = self._plan(target, known, listed)
            if changes is not None:
                planned, changes = whole_or_changed(planned, target, known, changes)
            _refuse_strangers(planned, target, standing)
            since = self._since(planned, low, listed)
            extraction = self._extraction(planned, since, listed, changes, rejects)
            # Asked before the rows are read: what commits later than this is met by the next run.
            safe = self.source.safe_high(planned.read, load.watermark) if load.watermark and listed is None else None

        with self._timed("extraction"):
            staged = self._keep(extraction.stage())
            rejects.check(self.tally.rows)
        self._note(rows_read=self.tally.rows, bytes=self.tally.bytes, rows_rejected=rejects.count)
        if self._is_empty(changes):
            self._note(status="unchanged")
            self._take_back()
            return
        with self._timed("checks"):
            draft = commits.main_change(
                staged, planned, since, changes, self.tally.skipped, disjoint=extraction.disjoint
            )
            draft = self._checked(draft, target, rejects)
            rejects.check(self.tally.rows)
        with self._timed("load"):
            made = self._changes(draft, planned, rejects, known.get("rejects", ""))
            kept = stamps(listed, self.tally.skipped) if listed is not None else None
            high = bounded(self.tally.high, safe, low)
            state = LoadState(
                self.key, high, self.around.run, draft.staged.rows,
                json.dumps(facts(planned, settings=self.settings, rejects=rejects.digest, files=kept)),
            )  # fmt: skip
            self._commit(made, state, before, target)
        self._note(rows_rejected=rejects.count, files=file_results(changes, self.tally.skipped))

    # Planning

    def _plan(self, target: TableSchema | None, known: dict[str, Any], listed: Sequence[SourceFile] | None) -> LoadPlan:
        load = self.load
        keyless = load.strategy == "transactional" and not load.primary_key
        tagged = listed is not None and (
            len(listed) > 1 or keyless or load.on_bad_file == "skip" or bool(known.get("tagged"))
        )
        before = Known(known.get("columns", {}), known.get("names", {})) if known else None
        schema = self.source.schema(load.source)
        if self.source.SAMPLED and before is not None:
            schema = remembered(schema, before)
        planned = plan(load, schema, target, before, tagged=tagged)
        self._note(drift=planned.drift, notes=self.source.notes(load.source))
        return planned

    def _since(self, planned: LoadPlan, low: str | None, listed: Sequence[SourceFile] | None) -> Since | None:
        load = planned.load
        if load.watermark is None:
            return None
        if low is None or listed is not None:
            # Files are told apart by themselves: what is read, is read whole.
            return Since(load.watermark, None if load.start is None else json_value(load.start))
        kind = planned.read.column(load.watermark).type
        return Since(load.watermark, step_back(low, load.lookback_seconds, kind, load.source))

    def _extraction(
        self,
        planned: LoadPlan,
        since: Since | None,
        listed: Sequence[SourceFile] | None,
        changes: FileChanges | None,
        rejects: RejectLog,
    ) -> Extraction:
        engine, connection = self.around.job.engine, self.around.connection
        total = self.source.estimate(self.load.source, since)
        choice = choose(
            engine, total, beam_available=find_spec("apache_beam") is not None,
            distributable=connection is not None and type(connection.source).shared, processors=_processors(),
        )  # fmt: skip
        if listed is not None and changes is not None:
            wanted = set(changes.to_read)
            chosen = [file for file in listed if file.name in wanted]
            alone = self.load.on_bad_file == "skip"
            cuts = [Part(files=(file.name,)) for file in chosen] if alone else cut_files(chosen, choice.parts)
            parts = tuple(dataclasses.replace(part, since=since) for part in cuts)
        else:
            found = self.source.key_range(planned.read, since, choice.parts) if choice.parts > 1 else None
            parts = cut(found, choice.parts, since=since) if found is not None else (Part(since=since),)
        large = choice.mode == "beam" or (total or 0) >= engine.threshold
        self._note(engine=choice.mode, parts=len(parts), notes=(*self.result.notes, *([choice.why] if large else [])))
        workers = min(len(parts), engine.parallel or min(4, _processors()))
        beam = choice.mode == "beam"
        return Extraction(self.around, planned, parts, rejects, self.tally, workers=workers, beam=beam, total=total)

    # Checking and committing

    def _is_empty(self, changes: FileChanges | None) -> bool:
        """Say whether there is nothing to load; what an empty source does to a catalog is the job's policy."""
        load = self.load
        if self.tally.rows or (changes is not None and changes.same):
            return False
        if load.strategy == "transactional":
            return changes is None or not changes.modified
        if load.on_empty == "fail":
            raise LoadError(
                f"table {load.source!r} is empty at the source, so {load.target!r} was left as it was. "
                f"Say on_empty='replace' to empty it, or on_empty='keep' to keep the old rows without failing."
            )
        return load.on_empty == "keep"

    def _checked(self, draft: Change, target: TableSchema | None, rejects: RejectLog) -> Change:
        """Hold the rows against the job's rules; return the change with those that stay."""
        rules = self.load.rules
        if not rules:
            return draft
        from b2brecs.etl.quality import check, quarantine

        how: dict[str, Any] = {"mode": draft.mode, "keys": draft.keys, "low": draft.low, "removed": draft.removed}
        found = check(
            self.warehouse, draft.staged, rules, target_rows=None if target is None else _rows(target),
            now=dt.datetime.now(dt.UTC), **how,
        )  # fmt: skip
        self._note(checks=tuple(found))
        failed = [item for item in found if not item.passed and item.action == "fail"]
        if failed:
            words = "; ".join(f"{item.rule} ({item.found or f'{item.rows:,} rows break it'})" for item in failed)
            raise LoadError(f"table {self.load.target!r} was not loaded, as its rows break a rule: {words}.")

        def take(rule: Rule, batch: pa.RecordBatch) -> None:
            for index in range(batch.num_rows):
                rejects(Reject(row_text(batch, index), ", ".join(rule.columns()), f"breaks: {rule.describe()}"))

        return dataclasses.replace(draft, staged=quarantine(self.warehouse, draft.staged, rules, take, **how))

    def _changes(self, main: Change, planned: LoadPlan, rejects: RejectLog, rejected_before: str) -> list[Change]:
        made = [main]
        if self.load.snapshot_history:
            made.append(commits.stage_history(self.around, main.staged, self.load.target))
        rejected = commits.stage_rejects(self.around, planned, rejects, rejected_before)
        made += [rejected] if rejected is not None else []
        self._staged += [change.staged for change in made[1:]]
        return made

    def _commit(
        self, made: Sequence[Change], state: LoadState, before: LoadState | None, target: TableSchema | None
    ) -> None:
        """Commit, or, if nothing would change, write at most how far the load has come."""
        expect = before.run if before else None
        if target is None or any(self.warehouse.differs(change) for change in made):
            total = self.warehouse.commit(made, state=state, expect=expect)
            loaded = made[0].staged.rows
            self._note(status="completed", rows_loaded=loaded, rows_total=total, watermark_after=state.watermark)
            return
        if before is None or (state.watermark, state.facts) != (before.watermark, before.facts):
            self.warehouse.commit((), state=state, expect=expect)
        self._note(status="unchanged", watermark_after=state.watermark)
        self._take_back()

    # Keeping order

    def _keep(self, staged: Staged) -> Staged:
        self._staged.append(staged)
        return staged

    def _take_back(self) -> None:
        for staged in self._staged:
            with suppress(WarehouseError):
                self.warehouse.drop(staged.name)
        self._staged = []

    def _note(self, **fields: Any) -> None:
        self.result = dataclasses.replace(self.result, **fields)

    @contextmanager
    def _timed(self, stage: str) -> Iterator[None]:
        self._stage = stage
        if self.around.on_progress is not None and stage != "extraction":
            self.around.on_progress(f"{self.load.target}: {stage}", self.tally.rows, None, self.tally.bytes)
        started = time.perf_counter()
        try:
            yield
        finally:
            spent = {**self.result.stages, stage: round(time.perf_counter() - started, 4)}
            self._note(stages=spent, seconds=round(sum(spent.values()), 4))


def _refuse_strangers(planned: LoadPlan, target: TableSchema | None, standing: LoadState | None) -> None:
    """Rows without a key can only replace rows that this job has loaded itself."""
    if planned.mode == "refresh" and target is not None and standing is None:
        raise LoadError(
            f"table {target.name!r} is there already, and this job has not loaded it; without a key its rows cannot "
            "be told from those to load. Give primary_key=[...], or load into another table: into='...'."
        )


def _rows(target: TableSchema | None) -> int:
    return (target.rows or 0) if target is not None else 0


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
