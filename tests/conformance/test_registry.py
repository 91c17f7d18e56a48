"""The registry's contract: versions never change, nobody's save is lost, what is used stays."""

from __future__ import annotations

import datetime as dt
import threading
from dataclasses import replace
from typing import Any, get_args

import pytest

from b2brecs.backends.protocols import Document, Registry, RunRecord, RunStatus
from b2brecs.errors import InUse, NotFound, VersionConflict

START = dt.datetime(2024, 5, 1, 8, 30, 0, 123456, tzinfo=dt.UTC)


def document(
    data: dict[str, Any] | None = None,
    *,
    kind: str = "features",
    name: str = "buyers",
    content: str | None = None,
    references: tuple[tuple[str, str], ...] = (),
) -> Document:
    plain = {"size": 1} if data is None else data
    unset = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return Document(kind, name, 0, plain, content or f"hash of {plain}", "ada", unset, references)


def save(registry: Registry, size: int, expect: int | None, **rest: Any) -> Document:
    return registry.put(document({"size": size}, **rest), expect=expect)


def run(key: str, *, minute: int = 0, kind: str = "train", name: str = "m", **rest: Any) -> RunRecord:
    return RunRecord(key, kind, name, rest.pop("status", "running"), START + dt.timedelta(minutes=minute), **rest)


class TestRegistry:
    def test_a_first_save_is_version_one_and_comes_back(self, registry: Registry) -> None:
        data = {
            "text": "Größe 😀 'x' \"y\"", "none": None, "list": [1, [2.5, []], {"a.b": True}], "": 0,
            "big": 2**53 + 1, "nested": {"$x": {"__y__": {"z/": [None]}}},
        }  # fmt: skip
        before = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)
        saved = registry.put(document(data, references=(("dataset", "orders"), ("model", "m"))), expect=None)
        assert (saved.version, saved.author, saved.data) == (1, "ada", data)
        assert before < saved.saved_at < dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)
        assert registry.get("features", "buyers") == saved
        assert registry.get("features", "buyers", 1) == saved
        assert saved.references == (("dataset", "orders"), ("model", "m"))

    @pytest.mark.parametrize(
        "name", ["Größe 😀", "a b", "x'; DROP TABLE documents; --", "%", "_", "..", "__x__", "é" * 200]
    )
    def test_any_name_is_a_name(self, registry: Registry, name: str) -> None:
        saved = save(registry, 1, None, name=name)
        assert registry.get("features", name) == saved
        assert [item.name for item in registry.list()] == [name]
        registry.delete("features", name)
        assert registry.list() == []

    def test_later_saves_are_new_versions_and_old_ones_stay(self, registry: Registry) -> None:
        first = save(registry, 1, None)
        second = save(registry, 2, 1)
        third = save(registry, 3, 2)
        assert [item.version for item in (first, second, third)] == [1, 2, 3]
        assert registry.get("features", "buyers") == third
        assert registry.get("features", "buyers", 1) == first
        assert registry.history("features", "buyers") == [third, second, first]

    def test_the_same_content_is_no_new_version(self, registry: Registry) -> None:
        first = save(registry, 1, None)
        for expect in (None, 1):
            assert save(registry, 1, expect) == first
        assert registry.history("features", "buyers") == [first]

    def test_going_back_to_older_content_is_a_new_version(self, registry: Registry) -> None:
        save(registry, 1, None)
        save(registry, 2, 1)
        assert save(registry, 1, 2).version == 3

    def test_a_version_handed_out_does_not_change_with_its_source(self, registry: Registry) -> None:
        data: dict[str, Any] = {"list": [1]}
        saved = registry.put(document(data), expect=None)
        data["list"].append(2)
        assert saved.data == {"list": [1]}
        assert registry.get("features", "buyers").data == {"list": [1]}

    @pytest.mark.parametrize("expect", [None, 1, 7])
    def test_a_save_on_another_version_is_a_conflict_with_its_changes(
        self, registry: Registry, expect: int | None
    ) -> None:
        registry.put(document({"size": 1, "layers": [64]}), expect=None)
        registry.put(document({"size": 2, "layers": [64, 32]}), expect=1)
        with pytest.raises(VersionConflict) as caught:
            registry.put(document({"size": 3, "layers": [64, 16], "new": "x"}), expect=expect)
        error = caught.value
        assert (error.kind, error.name, error.expected, error.actual) == ("features", "buyers", expect, 2)
        assert sorted(error.changes) == [("layers[1]", 32, 16), ("new", None, "x"), ("size", 2, 3)]
        assert registry.get("features", "buyers").version == 2

    def test_a_save_on_a_deleted_name_is_a_conflict(self, registry: Registry) -> None:
        save(registry, 1, None)
        registry.delete("features", "buyers")
        with pytest.raises(VersionConflict) as caught:
            save(registry, 2, 1)
        assert caught.value.actual is None

    def test_kinds_do_not_share_names(self, registry: Registry) -> None:
        save(registry, 1, None)
        assert save(registry, 2, None, kind="model").version == 1
        assert registry.get("features", "buyers").data == {"size": 1}

    def test_what_is_missing_is_not_found_with_a_hint(self, registry: Registry) -> None:
        save(registry, 1, None)
        for ask in (
            lambda: registry.get("features", "buyer"),
            lambda: registry.history("features", "buyer"),
            lambda: registry.delete("features", "buyer"),
        ):
            with pytest.raises(NotFound, match="'buyers'"):
                ask()
        with pytest.raises(NotFound, match="2"):
            registry.get("features", "buyers", 2)
        with pytest.raises(NotFound):
            registry.get("model", "buyers")

    def test_list_gives_the_latest_of_each_by_kind_and_name(self, registry: Registry) -> None:
        assert registry.list() == []
        for kind, name in (("model", "b"), ("features", "z"), ("model", "a"), ("model", "B")):
            save(registry, 1, None, kind=kind, name=name)
        latest = save(registry, 2, 1, kind="model", name="a")
        found = registry.list()
        assert [(item.kind, item.name) for item in found] == [
            ("features", "z"), ("model", "B"), ("model", "a"), ("model", "b"),
        ]  # fmt: skip
        assert latest in found
        assert [item.name for item in registry.list("model")] == ["B", "a", "b"]
        assert registry.list("absent") == []

    def test_what_others_refer_to_is_not_deleted(self, registry: Registry) -> None:
        save(registry, 1, None, kind="dataset", name="orders")
        save(registry, 1, None, name="one", references=(("dataset", "orders"),))
        save(registry, 1, None, name="two", references=(("model", "x"), ("dataset", "orders")))
        save(registry, 1, None, name="three", references=(("model", "orders"), ("dataset", "x")))
        with pytest.raises(InUse) as caught:
            registry.delete("dataset", "orders")
        assert caught.value.users == ("features 'one'", "features 'two'")
        assert registry.get("dataset", "orders").version == 1
        registry.delete("features", "one")
        registry.delete("features", "two")
        registry.delete("dataset", "orders")
        with pytest.raises(NotFound):
            registry.get("dataset", "orders")

    def test_only_the_latest_version_of_a_user_counts(self, registry: Registry) -> None:
        save(registry, 1, None, kind="dataset", name="orders")
        save(registry, 1, None, references=(("dataset", "orders"),))
        save(registry, 2, 1)
        registry.delete("dataset", "orders")
        assert [item.kind for item in registry.list()] == ["features"]

    def test_a_reference_to_oneself_does_not_keep(self, registry: Registry) -> None:
        save(registry, 1, None, references=(("features", "buyers"),))
        registry.delete("features", "buyers")
        assert registry.list() == []

    def test_of_two_saves_at_once_one_wins(self, registry: Registry) -> None:
        save(registry, -1, None)
        outcomes: list[int | None] = []
        start = threading.Barrier(4)

        def work(number: int) -> None:
            start.wait()
            try:
                outcomes.append(save(registry, number, 1).data["size"])
            except VersionConflict:
                outcomes.append(None)

        together(work, 4)
        (winner,) = [size for size in outcomes if size is not None]
        assert len(outcomes) == 4
        assert [item.data["size"] for item in registry.history("features", "buyers")] == [winner, -1]

    def test_writers_that_try_again_lose_nothing(self, registry: Registry) -> None:
        save(registry, -1, None)

        def work(number: int) -> None:
            while True:
                latest = registry.get("features", "buyers")
                try:
                    save(registry, number, latest.version)
                except VersionConflict:
                    continue
                return

        together(work, 4)
        versions = registry.history("features", "buyers")
        assert [item.version for item in versions] == [5, 4, 3, 2, 1]
        assert {item.data["size"] for item in versions} == {-1, 0, 1, 2, 3}

    # Runs

    def test_a_run_comes_back(self, registry: Registry) -> None:
        logged = run("r1", facts={"recall": 0.5, "by": {"k": [1, None]}, "größe": "😀"})
        registry.log_run(logged)
        assert registry.runs() == [logged]

    def test_what_is_new_of_a_run_is_added(self, registry: Registry) -> None:
        first = run("r1", facts={"rows": 10, "recall": 0.1})
        registry.log_run(first)
        end = START + dt.timedelta(hours=1)
        registry.log_run(
            replace(first, status="failed", finished_at=end, error="it broke", facts={"recall": 0.2, "epochs": 3})
        )
        expected = run(
            "r1", status="failed", finished_at=end, error="it broke", facts={"rows": 10, "recall": 0.2, "epochs": 3}
        )
        assert registry.runs() == [expected]

    @pytest.mark.parametrize("status", get_args(RunStatus))
    def test_every_status_of_a_run_is_kept(self, registry: Registry, status: RunStatus) -> None:
        registry.log_run(run("r1", status=status))
        assert [item.status for item in registry.runs()] == [status]

    def test_a_heartbeat_moves_and_leaves_the_other_facts(self, registry: Registry) -> None:
        first = run("r1", facts={"heartbeat": "1", "host": "a", "progress": {"rows": 1, "stage": "x"}})
        registry.log_run(first)
        registry.log_run(replace(first, facts={"heartbeat": "2", "progress": {"rows": 2}}))
        (kept,) = registry.runs()
        assert kept.facts == {"heartbeat": "2", "host": "a", "progress": {"rows": 2}}
        assert kept.finished_at is None

    def test_one_run_logged_again_later_moves_to_the_front(self, registry: Registry) -> None:
        registry.log_run(run("test:shop", kind="connection_test", name="shop"))
        registry.log_run(run("other", minute=1))
        registry.log_run(run("test:shop", minute=2, kind="connection_test", name="shop", status="failed"))
        assert [item.id for item in registry.runs()] == ["test:shop", "other"]
        assert [item.status for item in registry.runs("connection_test", "shop")] == ["failed"]

    def test_runs_are_the_latest_first_and_filtered(self, registry: Registry) -> None:
        registry.log_run(run("b", minute=1))
        registry.log_run(run("c", minute=3, name="other"))
        registry.log_run(run("a", minute=2, kind="etl"))
        registry.log_run(run("d", minute=1))
        assert [item.id for item in registry.runs()] == ["c", "a", "d", "b"]
        assert [item.id for item in registry.runs(limit=2)] == ["c", "a"]
        assert [item.id for item in registry.runs("train")] == ["c", "d", "b"]
        assert [item.id for item in registry.runs("train", "m")] == ["d", "b"]
        assert [item.id for item in registry.runs(name="other")] == ["c"]
        assert registry.runs("absent") == []

    def test_times_of_other_zones_sort_as_instants(self, registry: Registry) -> None:
        tokyo = dt.timezone(dt.timedelta(hours=9))
        early = RunRecord("early", "etl", "x", "completed", dt.datetime(2024, 1, 2, 8, tzinfo=tokyo))
        late = RunRecord("late", "etl", "x", "completed", dt.datetime(2024, 1, 2, 1, tzinfo=dt.UTC))
        registry.log_run(early)
        registry.log_run(late)
        assert registry.runs() == [late, early]


def together(work: Any, count: int) -> None:
    """Run ``work(number)`` in threads and wait."""
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
