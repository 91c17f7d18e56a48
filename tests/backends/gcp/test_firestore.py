"""What is special to Firestore: large documents, savers at once, and a put that is killed."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import threading
from typing import Any

import pytest

from b2brecs.backends.gcp import firestore_payload
from b2brecs.backends.gcp.firestore import FirestoreRegistry
from b2brecs.backends.protocols import Document, RunRecord
from b2brecs.errors import NotFound, VersionConflict
from tests.conformance.gcp import gcp_registry  # noqa: F401

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def document(data: dict[str, Any], name: str = "d", references: tuple[tuple[str, str], ...] = ()) -> Document:
    digest = hashlib.sha256(json.dumps(data).encode()).hexdigest()
    return Document("dataset", name, 0, data, digest, "me", NOW, references)


def parts(registry: FirestoreRegistry, name: str = "d") -> list[str]:
    return [item.id for item in registry._head("dataset", name).collection("parts").list_documents()]


def test_a_document_beyond_the_limit_is_split_and_comes_back(gcp_registry: FirestoreRegistry) -> None:  # noqa: F811
    data = {"text": "é😀" * 500_000}
    saved = gcp_registry.put(document(data), expect=None)
    assert saved.data == data
    assert gcp_registry.list() == [saved]
    assert gcp_registry.history("dataset", "d") == [saved]
    assert len(parts(gcp_registry)) == len(json.dumps(data, ensure_ascii=False).encode()) // firestore_payload.PART + 1
    gcp_registry.delete("dataset", "d")
    assert parts(gcp_registry) == []


def test_a_large_version_that_loses_leaves_no_parts(
    gcp_registry: FirestoreRegistry,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = gcp_registry._write

    def late(mine: Document, text: str, head: Any, number: int) -> bool:
        monkeypatch.undo()
        gcp_registry.put(document({"x": "theirs"}), expect=None)
        return write(mine, text, head, number)

    monkeypatch.setattr(gcp_registry, "_write", late)
    with pytest.raises(VersionConflict):
        gcp_registry.put(document({"x": "é" * 600_000}), expect=None)
    assert parts(gcp_registry) == []
    assert gcp_registry.get("dataset", "d").data == {"x": "theirs"}


def test_a_put_killed_before_its_batch_leaves_nothing_to_see(
    gcp_registry: FirestoreRegistry,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = gcp_registry._open()

    def killed() -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(client, "batch", killed)
    with pytest.raises(KeyboardInterrupt):
        gcp_registry.put(document({"x": "é" * 600_000}), expect=None)
    monkeypatch.undo()
    assert gcp_registry.list() == []
    with pytest.raises(NotFound):
        gcp_registry.history("dataset", "d")
    assert gcp_registry.put(document({"x": 1}), expect=None).version == 1


def test_a_put_whose_answer_was_lost_is_not_a_conflict(
    gcp_registry: FirestoreRegistry,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write = gcp_registry._write

    def lost(*given: Any) -> bool:
        write(*given)
        return write(*given)

    monkeypatch.setattr(gcp_registry, "_write", lost)
    saved = gcp_registry.put(document({"x": "é" * 600_000}), expect=None)
    assert saved.version == 1
    assert gcp_registry.history("dataset", "d") == [saved]


def test_of_many_savers_one_wins_and_the_others_see_what_differs(gcp_registry: FirestoreRegistry) -> None:  # noqa: F811
    gcp_registry.put(document({"x": -1}), expect=None)
    outcomes: list[object] = []

    def save(number: int) -> None:
        try:
            outcomes.append(gcp_registry.put(document({"x": number}), expect=1).data["x"])
        except VersionConflict as conflict:
            outcomes.append(conflict)

    threads = [threading.Thread(target=save, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [outcome for outcome in outcomes if isinstance(outcome, int)]
    conflicts = [outcome for outcome in outcomes if isinstance(outcome, VersionConflict)]
    assert len(conflicts) == 7
    assert all(path == "x" and theirs == winner for item in conflicts for path, theirs, _mine in item.changes)
    assert [item.version for item in gcp_registry.history("dataset", "d")] == [2, 1]


def test_nested_lists_come_back(gcp_registry: FirestoreRegistry) -> None:  # noqa: F811
    data = {"rows": [[1, [2.5, None]], []], "": {"a.b": True}}
    assert gcp_registry.put(document(data), expect=None).data == data


@pytest.mark.parametrize("name", ["a/b", "..", ".", "__x__", "50 %", "%2F", "ö: 😀", "x" * 200])
def test_names_that_mean_something_in_a_path_are_names(gcp_registry: FirestoreRegistry, name: str) -> None:  # noqa: F811
    saved = gcp_registry.put(document({"x": 1}, name), expect=None)
    assert gcp_registry.list() == [saved]
    assert saved.name == name


def test_a_large_run_comes_back_and_an_update_leaves_no_old_parts(gcp_registry: FirestoreRegistry) -> None:  # noqa: F811
    run = RunRecord("r/1", "etl", "orders", "running", NOW, facts={"log": "é" * 600_000})
    gcp_registry.log_run(run)
    assert gcp_registry.runs() == [run]
    gcp_registry.log_run(RunRecord("r/1", "etl", "orders", "failed", NOW, NOW, "boom", {"log": "", "n": 1}))
    assert gcp_registry.runs("etl", "orders")[0].facts == {"log": "", "n": 1}
    kept = gcp_registry._open().collection(f"{gcp_registry.prefix}_runs").document("r%2F1").collection("parts")
    assert list(kept.list_documents()) == []
