"""When something is started: a cron expression in a time zone, checked."""

from __future__ import annotations

import datetime as dt
import zoneinfo
from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal, Self

from b2brecs.configs.base import Value
from b2brecs.errors import ConfigError, Problem, nearest, show

_EXAMPLE = "Give five fields, minute hour day month weekday: '0 3 * * *' is daily at 03:00."


def check_timetable(name: str, cron: str, timezone: str) -> None:
    """Refuse a cron expression that never comes, or a time zone that is none.

    Raises
    ------
    ConfigError
        With what is wrong with either, or both.
    """
    from cronsim import CronSim, CronSimError

    problems = []
    try:
        if len(cron.split()) != 5:
            raise CronSimError("Wrong number of fields")  # noqa: TRY301
        next(CronSim(cron, dt.datetime(2000, 1, 1, tzinfo=dt.UTC)))
    except CronSimError as error:
        reason = str(error)[:1].lower() + str(error)[1:]
        problems.append(Problem("cron", show(cron), f"this is not a cron expression: {reason}.", _EXAMPLE))
    except StopIteration:
        problems.append(Problem("cron", show(cron), "there is no such day.", _EXAMPLE))
    try:
        zoneinfo.ZoneInfo(timezone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        fix = nearest(timezone, sorted(zoneinfo.available_timezones()))
        if "Did you mean" not in fix:
            fix = "Give an IANA name, such as 'Europe/Berlin' or 'UTC'."
        problems.append(Problem("timezone", show(timezone), "this is not a time zone.", fix))
    if problems:
        raise ConfigError(f"Timetable {name!r}", problems)


def times_after(cron: str, timezone: str, after: dt.datetime) -> Iterator[dt.datetime]:
    """Return the times of a cron expression after a moment, in the time zone.

    A time that the clock skips in spring is met right after the gap; one that it repeats in autumn is met once, the
    first time.
    """
    from cronsim import CronSim

    last = after.astimezone(dt.UTC)
    for time in CronSim(cron, after.astimezone(zoneinfo.ZoneInfo(timezone))):
        # Asked in the hour that is repeated, the first time it was would come again.
        moment = time.astimezone(dt.UTC)
        if moment > last:
            last = moment
            yield time


_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Schedule(Value):
    """When a job runs: a cron expression in an IANA time zone, and what happens when the last run still goes on.

    ``overlap="skip"`` lets a time pass while the job still runs; ``"queue"`` starts it once more right after.

    Examples
    --------
    >>> Schedule.weekly("monday", "06:30", timezone="Europe/Berlin").cron
    '30 6 * * 1'
    """

    cron: str
    timezone: str = "UTC"
    overlap: Literal["skip", "queue"] = "skip"

    def model_post_init(self, _context: Any, /) -> None:
        check_timetable("schedule", self.cron, self.timezone)

    @classmethod
    def hourly(cls, minute: int = 0, **options: Any) -> Self:
        """Every hour at a minute, 0 to 59."""
        return cls(cron=f"{minute} * * * *", **options)

    @classmethod
    def daily(cls, at: str = "02:00", **options: Any) -> Self:
        """Every day at a time, ``HH:MM``."""
        hour, minute = _clock(at)
        return cls(cron=f"{minute} {hour} * * *", **options)

    @classmethod
    def weekly(cls, day: str = "sunday", at: str = "02:00", **options: Any) -> Self:
        """Every week on a day of the week, by its English name."""
        if day.lower() not in _DAYS:
            raise ConfigError.single("Schedule", "day", day, "this is not a day of the week.", nearest(day, _DAYS))
        hour, minute = _clock(at)
        return cls(cron=f"{minute} {hour} * * {(_DAYS.index(day.lower()) + 1) % 7}", **options)

    @classmethod
    def monthly(cls, day: int = 1, at: str = "02:00", **options: Any) -> Self:
        """Every month on a day, 1 to 31; a month without that day is left out."""
        hour, minute = _clock(at)
        return cls(cron=f"{minute} {hour} {day} * *", **options)

    def next_times(self, count: int = 5, *, after: dt.datetime | None = None) -> list[dt.datetime]:
        """Return the next times, in the schedule's own zone; fewer where the expression ends."""
        return list(islice(times_after(self.cron, self.timezone, after or dt.datetime.now(dt.UTC)), count))


def _clock(text: str) -> tuple[int, int]:
    try:
        time = dt.time.fromisoformat(text)
    except ValueError:
        raise ConfigError.single("Schedule", "at", text, "this is not a time of day.", "Write 'HH:MM'.") from None
    return time.hour, time.minute
