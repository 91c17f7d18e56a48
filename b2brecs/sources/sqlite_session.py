"""Connections to a SQLite file, which only read, and its refusals in words."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from b2brecs.configs.sources import SQLiteSettings
from b2brecs.errors import SourceError

# How long to wait for a writer to finish.
_BUSY_S = 5.0
_BUSY, _LOCKED, _READ_ONLY, _IO, _CORRUPT, _CANNOT_OPEN, _NO_DATABASE = 5, 6, 8, 10, 11, 14, 26


def connect(settings: SQLiteSettings) -> sqlite3.Connection:
    """Open the file for reading only. Any thread may use the connection, one at a time.

    Raises
    ------
    SourceError
        There is no such file.
    """
    path = Path(settings.path).expanduser()
    try:
        if not path.is_file():
            what = "a folder, not a file" if path.is_dir() else "no such file"
            raise SourceError(settings.label(), f"{what}.", "Check the connection's path=.")
        # Percent signs and question marks of a name are no part of the address.
        address = f"{path.resolve().as_uri()}?mode=ro"
        connection = sqlite3.connect(
            address, uri=True, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )  # fmt: skip
    except (OSError, ValueError, sqlite3.Error) as error:
        raise refusal(error, settings) from None
    # What a view of the file may call is harmless only.
    connection.execute("PRAGMA trusted_schema = OFF")
    return connection


def refusal(error: Exception, settings: SQLiteSettings, table: str | None = None) -> SourceError:
    """Turn an error of SQLite into the library's."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    text = f"{str(error).rstrip('.')}."
    fix, transient = "", False
    if code in (_BUSY, _LOCKED):
        text, fix, transient = "another program is writing to the file.", "Try again when it has finished.", True
    elif code == _NO_DATABASE:
        text, fix = "the file is not a SQLite database, or it is encrypted.", "Check the connection's path=."
    elif code == _CORRUPT:
        text, fix = f"the file is damaged: {text}", "Restore it, or copy it while nobody writes to it."
    elif code == _CANNOT_OPEN:
        text = "the file cannot be opened."
        fix = "Check that it may be read; and that its folder may be written, if it keeps a write-ahead log."
    elif code == _READ_ONLY:
        text = "the file needs to be recovered, for which it would have to be written."
        fix = "Open it once with the program that writes to it."
    elif code == _IO:
        text, transient = f"the file could not be read: {text}", True
    elif table is not None:
        text = f"table {table!r} cannot be read: {text}"
    return SourceError(settings.label(), text, fix, transient=transient)
