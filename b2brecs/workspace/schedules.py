"""Verbs on schedules: when jobs run by themselves."""

from __future__ import annotations

import datetime as dt
from typing import Any

from b2brecs.backends.protocols import RunRecord, TaskSpec, Timetable
from b2brecs.configs.etl import EtlJob
from b2brecs.configs.schedule import Schedule
from b2brecs.display import Table
from b2brecs.display.runs import status_now
from b2brecs.errors import ConfigError
from b2brecs.workspace.configs import as_config
from b2brecs.workspace.links import refuse_circle, refuse_unknown
from b2brecs.workspace.runs import RunVerbs

_NEXT = 5


class ScheduleVerbs(RunVerbs):
    """Verbs on schedules. ``b2brecs scheduler`` keeps a local home's clock, Cloud Scheduler a cloud one's."""

    def schedule(self, job: EtlJob | str) -> Table:
        """Let a job run by its timetable, or after the jobs it follows; it is saved first.

        Returns
        -------
        Table
            When it will run.

        Raises
        ------
        ConfigError
            The job has no timetable and follows no job, or jobs would start each other in a circle.
        NotFound
            It follows a job that is not saved.
        """
        job = as_config(EtlJob, job, self).build()
        if job.timetable is None and not job.follows:
            raise ConfigError.single(
                f"EtlJob {job.name!r}", "timetable", None, "the job has no timetable and follows no other.",
                "Say when: job.schedule('0 2 * * *', timezone='Europe/Berlin'), or job.after('other').",
            )  # fmt: skip
        refuse_circle(self.home.registry, job)
        refuse_unknown(self.home.registry, job)
        self.save(job)
        if job.timetable is None:
            self.home.scheduler.delete(job.name)
        else:
            when = job.timetable
            spec = TaskSpec("etl", {"name": job.name}, self.home.url)
            self.home.scheduler.put(Timetable(job.name, when.cron, when.timezone, spec))
        return self._schedules([job.name])

    def unschedule(self, job: EtlJob | str) -> None:
        """Stop starting a job by its timetable; the job stays saved."""
        self.home.scheduler.delete(_name(job))

    def pause(self, job: EtlJob | str) -> None:
        """Stop starting a job until ``resume``; times that pass meanwhile are not made up for.

        Raises
        ------
        NotFound
            It is not scheduled.
        """
        self.home.scheduler.pause(_name(job))

    def resume(self, job: EtlJob | str) -> None:
        """Start a paused job again at its next time.

        Raises
        ------
        NotFound
            It is not scheduled.
        """
        self.home.scheduler.pause(_name(job), paused=False)

    def schedules(self) -> Table:
        """List what runs by itself: when next, whether it is paused, and how the last run came out."""
        return self._schedules(None)

    def next_runs(self, job: EtlJob | str, count: int = _NEXT) -> list[dt.datetime]:
        """Return the next times of a job's timetable, in its time zone.

        Raises
        ------
        ConfigError
            The job has no timetable.
        """
        job = as_config(EtlJob, job, self)
        if job.timetable is None:
            raise ConfigError.single(
                f"EtlJob {job.name!r}", "timetable", None, "the job has no timetable.", "Say when: job.schedule(…)."
            )
        return job.timetable.next_times(count)

    def _schedules(self, names: list[str] | None) -> Table:
        jobs = {d.name: d.data for d in self.home.registry.list(EtlJob.KIND)}
        planned = {t.name: t for t in self.home.scheduler.list() if t.spec.task == "etl" and self._is_ours(t)}
        last: dict[str, RunRecord] = {}
        for ended in self.home.registry.runs(EtlJob.KIND, limit=1000):
            last.setdefault(ended.name, ended)
        shown = sorted({*planned, *(name for name, data in jobs.items() if data.get("follows"))})
        rows: list[list[Any]] = []
        for name in shown if names is None else names:
            timetable, data = planned.get(name), jobs.get(name)
            run = last.get(name)
            came_out = f"{status_now(run)}, {run.started_at:%Y-%m-%d %H:%M} UTC" if run else "never ran"
            rows.append([name, *_when(timetable, data), came_out, _note(timetable, data)])
        columns = ["job", "when", "time zone", "next times", "paused", "last run", "note"]
        kept = [i for i in range(len(columns)) if i < len(columns) - 1 or any(row[i] for row in rows)]
        return Table("Schedules", [columns[i] for i in kept], [[row[i] for i in kept] for row in rows])

    def _is_ours(self, timetable: Timetable) -> bool:
        # A local home may have been moved; only a scheduler that several homes share holds others' timetables.
        workspace = timetable.spec.workspace
        return workspace == self.home.url or workspace.startswith("local:")


def _name(job: EtlJob | str) -> str:
    return job if isinstance(job, str) else job.name


def _when(timetable: Timetable | None, data: Any) -> list[Any]:
    follows = ", ".join((data or {}).get("follows") or ())
    after = f"after {follows}" if follows else ""
    if timetable is None:
        return [after, "", "", ""]
    times = Schedule(cron=timetable.cron, timezone=timetable.timezone).next_times(_NEXT)
    shown = "" if timetable.paused else ", ".join(f"{time:%a %d %b %H:%M}" for time in times)
    when = " and ".join(part for part in (timetable.cron, after) if part)
    return [when, timetable.timezone, shown, "paused" if timetable.paused else ""]


def _note(timetable: Timetable | None, data: Any) -> str:
    if data is None:
        return "the job is not saved any more: ws.unschedule(…)"
    saved = data.get("timetable")
    if timetable is not None and saved is None:
        return "the saved job has no timetable: ws.unschedule(…)"
    if timetable is not None and (saved["cron"], saved["timezone"]) != (timetable.cron, timetable.timezone):
        return f"saved with {saved['cron']} {saved['timezone']}: ws.schedule(…) makes it so"
    return ""
