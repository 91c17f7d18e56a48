"""When something is started: a cron expression in a time zone, checked."""

from __future__ import annotations

import datetime as dt
import zoneinfo

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
