"""The local scheduler: timetables in SQLite, looked at while this process lives."""

from __future__ import annotations

import builtins
import contextlib
import datetime as dt
import json
import logging
import sqlite3
import threading
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from b2brecs.backends.local.sqlite import open_sqlite, writing
from b2brecs.backends.protocols import Runner, TaskSpec, Timetable
from b2brecs.configs.schedule import check_timetable, times_after
from b2brecs.errors import ConfigError, NotFound

_log = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS timetables (
    name TEXT PRIMARY KEY, cron TEXT NOT NULL, timezone TEXT NOT NULL, task TEXT NOT NULL,
    config TEXT NOT NULL, workspace TEXT NOT NULL, paused INTEGER NOT NULL, since TEXT NOT NULL
);
"""


class Ticker:
    """Starts tasks when they are due, each once, also if its time was missed many times.

    Times are those of the timetable's own zone: a time that the clock skips in spring is met right after the
    gap, one that it repeats in autumn is met once.

    Parameters
    ----------
    path
        The file of timetables, made when needed. Several processes may share it: each due time is met once.
    runner
        What starts the tasks.
    """

    def __init__(self, path: Path | str, runner: Runner) -> None:
        self._path = Path(path).expanduser().absolute()
        self._runner = runner
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        return f"<Ticker {str(self._path)!r}>"

    def put(self, timetable: Timetable) -> None:
        """Add or replace a timetable. A new, changed or resumed one counts from now.

        Raises
        ------
        ConfigError
            The cron expression or the time zone is wrong.
        """
        check_timetable(timetable.name, timetable.cron, timetable.timezone)
        now = _text(_now())
        spec = timetable.spec
        with self._open() as connection, writing(connection):
            connection.execute(
                "INSERT INTO timetables (name, cron, timezone, task, config, workspace, paused, since) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
                "since = CASE WHEN cron = excluded.cron AND timezone = excluded.timezone AND NOT paused "
                "THEN since ELSE excluded.since END, "
                "cron = excluded.cron, timezone = excluded.timezone, task = excluded.task, "
                "config = excluded.config, workspace = excluded.workspace, paused = excluded.paused",
                (timetable.name, timetable.cron, timetable.timezone, spec.task, json.dumps(spec.config),
                 spec.workspace, timetable.paused, now),
            )  # fmt: skip

    def list(self) -> list[Timetable]:
        """Return all timetables, by name."""
        return [timetable for timetable, _since in self._all()]

    def pause(self, name: str, *, paused: bool = True) -> None:
        """Stop, or resume, a timetable; times that pass meanwhile are not made up for.

        Raises
        ------
        NotFound
            There is none of this name.
        """
        with self._open() as connection, writing(connection):
            changed = connection.execute(
                "UPDATE timetables SET since = CASE WHEN paused AND NOT ? THEN ? ELSE since END, paused = ? "
                "WHERE name = ?",
                (paused, _text(_now()), paused, name),
            ).rowcount
        if not changed:
            raise self._missing(name)

    def delete(self, name: str) -> None:
        """Remove a timetable, if there."""
        with self._open() as connection, writing(connection):
            connection.execute("DELETE FROM timetables WHERE name = ?", (name,))

    def due(self, now: dt.datetime | None = None) -> builtins.list[str]:
        """Return the names of what is due since it was last started or changed, by name."""
        moment = _aware(now)
        return [timetable.name for timetable, since in self._all() if _is_due(timetable, since, moment)]

    def tick(self, now: dt.datetime | None = None) -> dict[str, str]:
        """Start what is due, each once, and return the ids of the tasks by timetable.

        What could not be started stays due, and does not keep the others from starting; the first such
        error is raised at the end.
        """
        moment = _aware(now)
        started: dict[str, str] = {}
        failures: list[Exception] = []
        for timetable, since in self._all():
            if not _is_due(timetable, since, moment) or not self._move(timetable.name, since, moment):
                continue
            try:
                started[timetable.name] = self._runner.submit(timetable.spec)
            except Exception as error:  # noqa: BLE001
                self._move(timetable.name, moment, since)
                failures.append(error)
        if failures:
            raise failures[0]
        return started

    def next_times(
        self, timetable: Timetable | str, count: int = 5, *, after: dt.datetime | None = None
    ) -> builtins.list[dt.datetime]:
        """Return the next times of a timetable, or of the one of that name, in its own zone.

        Parameters
        ----------
        timetable
            The timetable, saved or not, or the name of a saved one.
        count
            How many; fewer if the expression ends.
        after
            From when, default now.

        Raises
        ------
        ConfigError
            The cron expression or the time zone is wrong.
        NotFound
            There is none of this name.
        """
        if isinstance(timetable, str):
            found = {saved.name: saved for saved in self.list()}
            if timetable not in found:
                raise self._missing(timetable)
            timetable = found[timetable]
        check_timetable(timetable.name, timetable.cron, timetable.timezone)
        return list(islice(_times(timetable, _aware(after)), count))

    def start(self, seconds: float = 20.0) -> None:
        """Tick every so many seconds in a thread of this process, until ``stop``; an error is logged."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._stop = stop = threading.Event()

        def work() -> None:
            while not stop.wait(seconds):
                try:
                    self.tick()
                except Exception:  # noqa: BLE001
                    _log.exception("a timetable could not be started")

        self._thread = threading.Thread(target=work, name="b2brecs-ticker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop ticking."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def _move(self, name: str, old: dt.datetime, new: dt.datetime) -> bool:
        """Set from when a timetable counts, unless another process did; a paused one stays."""
        with self._open() as connection, writing(connection):
            changed = connection.execute(
                "UPDATE timetables SET since = ? WHERE name = ? AND since = ? AND NOT paused",
                (_text(new), name, _text(old)),
            ).rowcount
        return changed == 1

    def _all(self) -> builtins.list[tuple[Timetable, dt.datetime]]:
        with self._open() as connection:
            rows = connection.execute(
                "SELECT name, cron, timezone, task, config, workspace, paused, since FROM timetables ORDER BY name"
            ).fetchall()
        return [
            (
                Timetable(name, cron, zone, TaskSpec(task, json.loads(config), workspace), bool(paused)),
                dt.datetime.fromisoformat(since),
            )
            for name, cron, zone, task, config, workspace, paused, since in rows
        ]

    def _missing(self, name: str) -> NotFound:
        return NotFound("timetable", name, [saved.name for saved in self.list()], where="the schedule")

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with open_sqlite(self._path, _SCHEMA) as connection:
            yield connection


def _is_due(timetable: Timetable, since: dt.datetime, now: dt.datetime) -> bool:
    if timetable.paused:
        return False
    following = next(_times(timetable, since), None)
    return following is not None and following <= now


def _times(timetable: Timetable, after: dt.datetime) -> Iterator[dt.datetime]:
    return times_after(timetable.cron, timetable.timezone, after)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def _aware(time: dt.datetime | None) -> dt.datetime:
    """Return a time in UTC; one without a zone is refused, as nobody knows which it is in."""
    if time is None:
        return _now()
    if time.tzinfo is None:
        raise ConfigError.single(
            "Ticker", "time", time, "this time has no zone.", "Give one: datetime.now(datetime.UTC)."
        )
    return time.astimezone(dt.UTC)


def _text(time: dt.datetime) -> str:
    return time.astimezone(dt.UTC).isoformat(timespec="microseconds")
