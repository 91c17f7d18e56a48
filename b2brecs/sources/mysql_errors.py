"""What MySQL and MariaDB refuse, and what pymysql reports of them, in words that name the thing to fix."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from urllib.parse import quote

from sqlglot import exp

from b2brecs.configs.sources import MySQLSettings
from b2brecs.errors import SourceError
from b2brecs.sources.base import scrub

# The user may not read: the whole database, a table, a column, or what a view is made of.
DENIED = frozenset({1044, 1142, 1143, 1356})
NO_SUCH_TABLE = frozenset({1146, 1051})
NEEDS_PROCESS = 1227
# Of pymysql: the server does not encrypt.
NO_TLS = 2026


class NotEncryptedError(ConnectionError):
    """The connection is not encrypted, but should be."""


@dataclass(frozen=True)
class _Refusal:
    reason: str
    fix: str = ""
    transient: bool = False


_ASK = "Ask whoever runs the server."
_LOGIN = _Refusal(
    "the user or the password is wrong, or the user may not connect from here.",
    "Check user= and the secret that password= refers to.",
)
_GONE = _Refusal("the connection was lost, or the server is shutting down.", "Try again.", transient=True)
_UNREACHABLE = _Refusal("the server cannot be reached.", "Check host=, port= and the firewall.", transient=True)
_SILENT = _Refusal("the server gave no answer in time.", "Check host=, port= and the firewall.", transient=True)
_UNKNOWN_HOST = _Refusal("the server cannot be reached: its name is not known.", "Check host=.")
_FULL = _Refusal("the server has no connection free.", "Try again later, or read fewer parts at once.", transient=True)
_PLAIN = _Refusal("the server offers no encryption, which ssl=True asks for.", "Switch TLS on at the server, or say "
                  "ssl=False.")  # fmt: skip
_ENCRYPTED = _Refusal("the server wants an encrypted connection.", "Say ssl=True.")
_STRANGER = _Refusal("what answers there is not a MySQL server.", "Check host= and port=.")
_CUT = _Refusal("the server cut the statement short, as it took too long.",
                "Raise max_statement_time (MariaDB) or max_execution_time (MySQL) for this user.")  # fmt: skip
_CHANGED = "Look at the table, and run the load again."
_BUSY = _Refusal("another transaction stood in the way.", "Try again.", transient=True)

_NUMBERS: dict[int, _Refusal] = {
    1040: _FULL,
    1203: _FULL,
    1226: _Refusal("the user has used up what the server allows.", "Try again later.", transient=True),
    1045: _LOGIN,
    1698: _LOGIN,
    1049: _Refusal("there is no such database.", "Check database=."),
    1129: _Refusal("the server has shut this machine out after too many errors.", f"{_ASK} It is FLUSH HOSTS."),
    1130: _Refusal("the server lets nobody connect from here.", _ASK),
    1205: _BUSY,
    1213: _BUSY,
    1053: _GONE,
    1152: _GONE,
    1159: _GONE,
    1161: _GONE,
    1184: _GONE,
    1927: _GONE,
    2006: _GONE,
    2013: _GONE,
    2055: _GONE,
    4031: _GONE,
    1317: _Refusal("the statement was stopped at the server.", "Run the load again.", transient=True),
    1021: _Refusal("the server's disk is full.", _ASK, transient=True),
    1037: _Refusal("the server is short of memory.", "Try again later.", transient=True),
    1969: _CUT,
    3024: _CUT,
    1820: _Refusal("the password has expired.", "Give the user a new one, and store it as the secret."),
    1862: _Refusal("the password has expired.", "Give the user a new one, and store it as the secret."),
    3118: _Refusal("the account is locked.", _ASK),
    4151: _Refusal("the account is locked.", _ASK),
    3159: _ENCRYPTED,
    NO_TLS: _PLAIN,
    2059: _Refusal("the server asks for a kind of login that pymysql does not know.",
                   "Give the user caching_sha2_password or mysql_native_password."),
    1251: _Refusal("the server asks for a kind of login that pymysql does not know.",
                   "Give the user caching_sha2_password or mysql_native_password."),
    1412: _Refusal("the table was changed while it was read.", "Run the load again.", transient=True),
}  # fmt: skip


def refusal(
    error: BaseException,
    settings: MySQLSettings,
    password: str | None = None,
    table: str | None = None,
    account: str | None = None,
) -> SourceError:
    """Turn a driver's error into the library's. It holds no form of the password.

    Parameters
    ----------
    error
        Of pymysql, a socket, or whatever pymysql tripped over.
    table
        Which table was read, to name it.
    account
        Who the server takes the user for: ``user@host``.
    """
    cause = getattr(error, "original_exception", error)
    code = number(error)
    text = scrub(_text(error), password, quote(password, safe="") if password else None)
    if code in DENIED:
        found = _grant(settings, text, table if code != 1044 else None, account)
    elif code in NO_SUCH_TABLE or code == 1054:
        found = _Refusal(f"table {table!r} changed since it was looked up: {text.rstrip('.')}.", _CHANGED)
    elif code == 2013 and "timed out" in text:
        found = _SILENT
    elif code in _NUMBERS:
        found = _NUMBERS[code]
    elif isinstance(cause, OSError):
        found = _unreached(cause, settings)
    elif "cryptography" in text:
        found = _Refusal("this kind of login needs encryption.", "Say ssl=True, or: pip install cryptography")
    elif code is None:
        found = _STRANGER
    else:
        found = _Refusal(f"{text.rstrip('.')}.")
    return SourceError(settings.label(), found.reason, found.fix, transient=found.transient)


def number(error: BaseException) -> int | None:
    """Return the number by which the server, or pymysql, names an error, if it has one."""
    from pymysql import Error

    if isinstance(error, NotEncryptedError):
        return NO_TLS
    first = error.args[0] if error.args else None
    return first if isinstance(error, Error) and isinstance(first, int) else None


def _unreached(error: OSError, settings: MySQLSettings) -> _Refusal:
    if isinstance(error, socket.gaierror):
        return _UNREACHABLE if error.errno == socket.EAI_AGAIN else _UNKNOWN_HOST
    if isinstance(error, ssl.SSLError):
        without = "" if settings.ssl else ", and none without encryption"
        return _Refusal(
            f"no encrypted connection came about{without}.", "Check the server's TLS versions, and the login."
        )
    if isinstance(error, ConnectionRefusedError):
        return _UNREACHABLE
    if isinstance(error, TimeoutError):
        return _SILENT
    return _GONE if isinstance(error, ConnectionError) else _UNREACHABLE


def _grant(settings: MySQLSettings, text: str, table: str | None, account: str | None) -> _Refusal:
    """Say which right is missing, as the statement that gives it."""

    def quoted(name: str) -> str:
        return exp.to_identifier(name, quoted=True).sql("mysql")

    user, _, host = (account or f"{settings.user}@%").rpartition("@")
    whom = f"{exp.Literal.string(user).sql('mysql')}@{exp.Literal.string(host).sql('mysql')}"
    on = f"{quoted(settings.database)}.{quoted(table) if table is not None else '*'}"
    what = f"read table {table!r}" if table is not None else f"use database {settings.database!r}"
    return _Refusal(
        f"the user may not {what}: {text.rstrip('.')}.", f"Let an administrator run: GRANT SELECT ON {on} TO {whom};"
    )


def _text(error: BaseException) -> str:
    """Return what the server says, without the number."""
    said = error.args[-1] if error.args else ""
    return " ".join(str(said).split())
