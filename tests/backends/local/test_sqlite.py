"""What only the SQLite registry promises: one file for many processes, and versions the file itself protects."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from b2brecs.backends.local.sqlite import SqliteRegistry
from b2brecs.errors import B2BRecsError
from tests.conformance.test_registry import save

ROOT = Path(__file__).parents[3]
SAVER = """
import sys
from b2brecs.backends.local.sqlite import SqliteRegistry
from b2brecs.backends.protocols import RunRecord
from b2brecs.errors import NotFound, VersionConflict
from tests.conformance.test_registry import START, save

path, me = sys.argv[1], int(sys.argv[2])
registry = SqliteRegistry(path)
for number in range(10):
    save(registry, number, None, name=f"own {me}.{number}")
    while True:
        try:
            latest = registry.get("features", "shared").version
        except NotFound:
            latest = None
        try:
            save(registry, me * 100 + number, latest, name="shared")
        except VersionConflict:
            continue
        break
    registry.log_run(RunRecord(f"{me}.{number}", "etl", "job", "completed", START))
"""


def test_eight_processes_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "registry.sqlite"
    savers = [
        subprocess.Popen([sys.executable, "-c", SAVER, str(path), str(me)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for me in range(8)
    ]
    assert [(saver.communicate()[1], saver.returncode) for saver in savers] == [("", 0)] * 8

    registry = SqliteRegistry(path)
    shared = registry.history("features", "shared")
    assert [item.version for item in shared] == list(range(80, 0, -1))
    assert {item.data["size"] for item in shared} == {me * 100 + number for me in range(8) for number in range(10)}
    assert len(registry.list()) == 81
    assert len(registry.runs(limit=1000)) == 80


def test_threads_may_make_the_file_at_once(tmp_path: Path) -> None:
    failures: list[B2BRecsError] = []

    def work(number: int) -> None:
        try:
            save(SqliteRegistry(tmp_path / "r.sqlite"), number, None, name=f"n{number}")
        except B2BRecsError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(SqliteRegistry(tmp_path / "r.sqlite").list()) == 8


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE documents SET data = '{}'",
        "UPDATE documents SET version = 9",
        "INSERT OR REPLACE INTO documents SELECT kind, name, version, '{}', '', '', saved_at, refs FROM documents",
    ],
)
def test_the_file_refuses_to_change_a_version(tmp_path: Path, statement: str) -> None:
    registry = SqliteRegistry(tmp_path / "r.sqlite")
    saved = save(registry, 1, None)
    with contextlib.closing(sqlite3.connect(tmp_path / "r.sqlite")) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="versions never change"):
            connection.execute(statement)
        connection.rollback()
    assert registry.get("features", "buyers") == saved


def test_nothing_is_opened_before_it_is_used(tmp_path: Path) -> None:
    registry = SqliteRegistry(tmp_path / "new" / "r.sqlite")
    assert list(tmp_path.iterdir()) == []
    assert registry.list() == []


def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    registry = SqliteRegistry(tmp_path / "r.sqlite")
    saved = save(registry, 1, None)
    with contextlib.closing(sqlite3.connect(tmp_path / "r.sqlite", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM documents")
        assert registry.get("features", "buyers") == saved
        writer.execute("ROLLBACK")


def test_a_file_that_is_no_registry_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.sqlite"
    path.write_bytes(b"not a database " * 100)
    with pytest.raises(B2BRecsError, match=r"r\.sqlite"):
        SqliteRegistry(path).list()
    assert path.read_bytes() == b"not a database " * 100


def test_a_file_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    with contextlib.closing(sqlite3.connect(tmp_path / "r.sqlite")) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(B2BRecsError, match="newer b2brecs"):
        SqliteRegistry(tmp_path / "r.sqlite").list()
