"""The scheduler's contract: timetables are kept, replaced, paused and removed, and wrong ones refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from b2brecs.backends.protocols import Scheduler, TaskSpec, Timetable
from b2brecs.errors import ConfigError, NotFound

SPEC = TaskSpec("etl", {"name": "nightly", "tables": [{"source": "Größe 😀", "start": None}]}, "local:/folder")
NIGHTLY = Timetable("nightly", "0 3 * * *", "Europe/Berlin", SPEC)


class TestScheduler:
    def test_a_timetable_comes_back(self, scheduler: Scheduler) -> None:
        assert scheduler.list() == []
        scheduler.put(NIGHTLY)
        assert scheduler.list() == [NIGHTLY]

    def test_timetables_are_listed_by_name(self, scheduler: Scheduler) -> None:
        for name in ("b", "c", "a"):
            scheduler.put(replace(NIGHTLY, name=name))
        assert [timetable.name for timetable in scheduler.list()] == ["a", "b", "c"]

    @pytest.mark.parametrize("name", ["Größe 😀", "two words", "a'b\"c", "x" * 200, "é/" * 100])
    def test_any_name_is_a_name(self, scheduler: Scheduler, name: str) -> None:
        scheduler.put(replace(NIGHTLY, name=name))
        scheduler.pause(name)
        assert scheduler.list() == [replace(NIGHTLY, name=name, paused=True)]
        scheduler.delete(name)
        assert scheduler.list() == []

    def test_put_replaces(self, scheduler: Scheduler) -> None:
        scheduler.put(NIGHTLY)
        other = Timetable("nightly", "*/15 8-17 * * 1-5", "UTC", TaskSpec("train", {"x": 1}, "local:/b"), paused=True)
        scheduler.put(other)
        assert scheduler.list() == [other]
        scheduler.put(NIGHTLY)
        assert scheduler.list() == [NIGHTLY]

    def test_pause_and_resume(self, scheduler: Scheduler) -> None:
        scheduler.put(NIGHTLY)
        for paused in (True, True, False, False):
            scheduler.pause("nightly", paused=paused)
            assert scheduler.list() == [replace(NIGHTLY, paused=paused)]

    def test_pausing_what_is_missing_is_not_found(self, scheduler: Scheduler) -> None:
        scheduler.put(NIGHTLY)
        with pytest.raises(NotFound, match="'nightly'"):
            scheduler.pause("nightl")

    def test_delete_removes_what_is_there(self, scheduler: Scheduler) -> None:
        scheduler.delete("nightly")
        scheduler.put(NIGHTLY)
        scheduler.delete("nightly")
        assert scheduler.list() == []

    @pytest.mark.parametrize("cron", ["", "daily", "61 3 * * *", "0 3 * *", "0 0 3 * * *", "0 3 30 2 *", "* * * * 9"])
    def test_a_wrong_cron_expression_is_refused(self, scheduler: Scheduler, cron: str) -> None:
        with pytest.raises(ConfigError) as caught:
            scheduler.put(replace(NIGHTLY, cron=cron))
        (problem,) = caught.value.problems
        assert (problem.field, problem.value) == ("cron", repr(cron))
        assert problem.fix
        assert scheduler.list() == []

    @pytest.mark.parametrize(("zone", "fix"), [("Europe/Berln", "Europe/Berlin"), ("", "UTC"), ("../etc", "UTC")])
    def test_a_wrong_zone_is_refused(self, scheduler: Scheduler, zone: str, fix: str) -> None:
        with pytest.raises(ConfigError) as caught:
            scheduler.put(replace(NIGHTLY, timezone=zone))
        (problem,) = caught.value.problems
        assert (problem.field, problem.value) == ("timezone", repr(zone))
        assert fix in problem.fix

    def test_all_that_is_wrong_is_said_at_once(self, scheduler: Scheduler) -> None:
        with pytest.raises(ConfigError) as caught:
            scheduler.put(replace(NIGHTLY, cron="x", timezone="y"))
        assert [problem.field for problem in caught.value.problems] == ["cron", "timezone"]
