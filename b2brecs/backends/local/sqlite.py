"""The local registry: configurations and runs in one SQLite file."""

from __future__ import annotations

import builtins
import contextlib
import datetime as dt
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from b2brecs.backends.protocols import Document, RunRecord
from b2brecs.configs.base import differences
from b2brecs.errors import B2BRecsError, InUse, NotFound, VersionConflict

_WAIT_SECONDS = 60.0
_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    kind TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, data TEXT NOT NULL,
    content_hash TEXT NOT NULL, author TEXT NOT NULL, saved_at TEXT NOT NULL, refs TEXT NOT NULL,
    PRIMARY KEY (kind, name, version)
) WITHOUT ROWID;
CREATE TRIGGER IF NOT EXISTS versions_never_change BEFORE UPDATE ON documents
BEGIN SELECT RAISE(ABORT, 'versions never change'); END;
CREATE TRIGGER IF NOT EXISTS versions_are_not_replaced BEFORE INSERT ON documents
WHEN EXISTS (SELECT 1 FROM documents
             WHERE kind = NEW.kind AND name = NEW.name AND version = NEW.version)
BEGIN SELECT RAISE(ABORT, 'versions never change'); END;
CREATE TABLE IF NOT EXISTS runs (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, name TEXT NOT NULL, status TEXT NOT NULL,
    started_at TEXT NOT NULL, finished_at TEXT, error TEXT NOT NULL, facts TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS runs_by_time ON runs (started_at);
"""
_DOCUMENT = "kind, name, version, data, content_hash, author, saved_at, refs"
_RUN = "id, kind, name, status, started_at, finished_at, error, facts"
_LATEST = "version = (SELECT MAX(version) FROM documents AS o WHERE o.kind = d.kind AND o.name = d.name)"


class SqliteRegistry:
    """Configurations, all their versions, and runs; safe for many processes and threads.

    Every call has a connection of its own; nothing is opened before the first.

    Parameters
    ----------
    path
        The file, made when needed.
    """

    def __init__(self, path: Path | str) -> None:
        self._path = Path(path).expanduser().absolute()

    def __repr__(self) -> str:
        return f"<SqliteRegistry {str(self._path)!r}>"

    def get(self, kind: str, name: str, version: int | None = None) -> Document:
        """Return a version, the latest by default; see ``Registry.get``."""
        with self._reading() as connection:
            found = self._get(connection, kind, name, version)
            if found is not None:
                return found
            if version is not None and self._get(connection, kind, name) is not None:
                saved = connection.execute(
                    "SELECT version FROM documents WHERE kind = ? AND name = ? ORDER BY version", (kind, name)
                ).fetchall()
                raise NotFound(f"version of {kind} {name!r}", str(version), [str(row[0]) for row in saved])
            raise self._missing(connection, kind, name)

    def put(self, document: Document, *, expect: int | None) -> Document:
        """Save a new version and return it with its number and time; see ``Registry.put``."""
        written = json.dumps(document.data)
        with self._writing() as connection:
            latest = self._get(connection, document.kind, document.name)
            if latest is not None and latest.content_hash == document.content_hash:
                return latest
            standing = latest.version if latest else None
            if standing != expect:
                theirs = dict(latest.data) if latest else {}
                changes = differences(theirs, json.loads(written)) if latest else ()
                raise VersionConflict(document.kind, document.name, expect, standing, list(changes))
            saved = replace(
                document,
                version=(standing or 0) + 1,
                saved_at=dt.datetime.now(dt.UTC),
                data=json.loads(written),
                references=tuple((kind, name) for kind, name in document.references),
            )
            connection.execute(
                f"INSERT INTO documents ({_DOCUMENT}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                (saved.kind, saved.name, saved.version, written, saved.content_hash, saved.author,
                 _instant(saved.saved_at), json.dumps(saved.references)),
            )  # fmt: skip
            return saved

    def history(self, kind: str, name: str) -> list[Document]:
        """Return all versions, the latest first; see ``Registry.history``."""
        with self._reading() as connection:
            rows = connection.execute(
                f"SELECT {_DOCUMENT} FROM documents WHERE kind = ? AND name = ? ORDER BY version DESC",  # noqa: S608
                (kind, name),
            ).fetchall()
            if not rows:
                raise self._missing(connection, kind, name)
        return [_document(row) for row in rows]

    def list(self, kind: str | None = None) -> list[Document]:
        """Return the latest version of every name, sorted by kind and name."""
        with self._reading() as connection:
            rows = connection.execute(
                f"SELECT {_DOCUMENT} FROM documents AS d WHERE {_LATEST} AND (? IS NULL OR kind = ?) "  # noqa: S608
                "ORDER BY kind, name",
                (kind, kind),
            ).fetchall()
        return [_document(row) for row in rows]

    def delete(self, kind: str, name: str) -> None:
        """Delete all versions, unless the latest version of another refers to it; see ``Registry.delete``."""
        with self._writing() as connection:
            if self._get(connection, kind, name) is None:
                raise self._missing(connection, kind, name)
            users = connection.execute(
                f"SELECT DISTINCT d.kind, d.name FROM documents AS d, json_each(d.refs) AS r "  # noqa: S608
                f"WHERE {_LATEST} AND NOT (d.kind = ? AND d.name = ?) "
                "AND json_extract(r.value, '$[0]') = ? AND json_extract(r.value, '$[1]') = ? ORDER BY 1, 2",
                (kind, name, kind, name),
            ).fetchall()
            if users:
                raise InUse(kind, name, [f"{user_kind} {user!r}" for user_kind, user in users])
            connection.execute("DELETE FROM documents WHERE kind = ? AND name = ?", (kind, name))

    def log_run(self, run: RunRecord) -> None:
        """Write a run, or what is new of it, by id; see ``Registry.log_run``."""
        finished = _instant(run.finished_at) if run.finished_at else None
        with self._writing() as connection:
            old = connection.execute("SELECT facts FROM runs WHERE id = ?", (run.id,)).fetchall()
            facts = {**(json.loads(old[0][0]) if old else {}), **run.facts}
            connection.execute(
                f"INSERT INTO runs ({_RUN}) VALUES (?, ?, ?, ?, ?, ?, ?, ?) "  # noqa: S608
                "ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, name = excluded.name, "
                "status = excluded.status, started_at = excluded.started_at, "
                "finished_at = excluded.finished_at, error = excluded.error, facts = excluded.facts",
                (run.id, run.kind, run.name, run.status, _instant(run.started_at), finished, run.error,
                 json.dumps(facts)),
            )  # fmt: skip

    def runs(self, kind: str | None = None, name: str | None = None, limit: int = 100) -> builtins.list[RunRecord]:
        """Return runs, the latest first."""
        with self._reading() as connection:
            rows = connection.execute(
                f"SELECT {_RUN} FROM runs WHERE (? IS NULL OR kind = ?) AND (? IS NULL OR name = ?) "  # noqa: S608
                "ORDER BY started_at DESC, id DESC LIMIT ?",
                (kind, kind, name, name, limit),
            ).fetchall()
        return [_run(row) for row in rows]

    def close(self) -> None:
        """Give back what is held: nothing, as every call closes its connection."""

    def _get(self, connection: sqlite3.Connection, kind: str, name: str, version: int | None = None) -> Document | None:
        rows = connection.execute(
            f"SELECT {_DOCUMENT} FROM documents WHERE kind = ? AND name = ? AND (? IS NULL OR version = ?) "  # noqa: S608
            "ORDER BY version DESC LIMIT 1",
            (kind, name, version, version),
        ).fetchall()
        return _document(rows[0]) if rows else None

    def _missing(self, connection: sqlite3.Connection, kind: str, name: str) -> NotFound:
        names = connection.execute("SELECT DISTINCT name FROM documents WHERE kind = ? ORDER BY 1", (kind,)).fetchall()
        return NotFound(kind, name, [row[0] for row in names], where="the registry")

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with open_sqlite(self._path, _SCHEMA) as connection:
            yield connection

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with open_sqlite(self._path, _SCHEMA) as connection, writing(connection):
            yield connection


@contextlib.contextmanager
def open_sqlite(path: Path, schema: str) -> Iterator[sqlite3.Connection]:
    """Open a file of ours for one piece of work, with its tables in place.

    Raises
    ------
    B2BRecsError
        SQLite cannot open, read or write the file.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=_WAIT_SECONDS, isolation_level=None)
    except (sqlite3.Error, OSError) as error:
        raise B2BRecsError(f"{path} cannot be opened: {error}.") from None
    try:
        version = connection.execute("PRAGMA user_version").fetchall()[0][0]
        if version > 1:
            raise B2BRecsError(f"{path} was written by a newer b2brecs. Upgrade: pip install -U b2brecs")
        if version == 0:
            # Several processes may make the file at once; the first to hold the lock does.
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            connection.executescript(f"BEGIN IMMEDIATE; {schema} PRAGMA user_version = 1; COMMIT;")
        connection.execute("PRAGMA synchronous = FULL")
        yield connection
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise B2BRecsError(f"{path} has been kept busy by other processes. Try again.") from None
        raise B2BRecsError(f"{path}: {error}.") from None
    except sqlite3.Error as error:
        raise B2BRecsError(f"{path}: {error}.") from None
    finally:
        connection.close()


@contextlib.contextmanager
def writing(connection: sqlite3.Connection) -> Iterator[None]:
    """Do the body in one transaction that nobody else writes beside."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _instant(time: dt.datetime) -> str:
    """Write a time in UTC, so that text sorts as time does; one without a zone is local time."""
    return time.astimezone(dt.UTC).isoformat(timespec="microseconds")


def _document(row: tuple[Any, ...]) -> Document:
    kind, name, version, data, content_hash, author, saved_at, references = row
    return Document(
        kind, name, version, _plain(data), content_hash, author, dt.datetime.fromisoformat(saved_at),
        tuple((of, to) for of, to in json.loads(references)),
    )  # fmt: skip


def _run(row: tuple[Any, ...]) -> RunRecord:
    key, kind, name, status, started_at, finished_at, error, facts = row
    return RunRecord(
        key, kind, name, status, dt.datetime.fromisoformat(started_at),
        dt.datetime.fromisoformat(finished_at) if finished_at else None, error, _plain(facts),
    )  # fmt: skip


def _plain(text: str) -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found
