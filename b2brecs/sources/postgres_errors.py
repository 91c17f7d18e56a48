"""What PostgreSQL and its client library refuse, in words that name the thing to fix."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

from sqlglot import exp

from b2brecs.configs.sources import PostgresSettings
from b2brecs.errors import SourceError
from b2brecs.sources.base import scrub


@dataclass(frozen=True)
class _Refusal:
    reason: str
    fix: str = ""
    transient: bool = False


_LOGIN = _Refusal("the user or the password is wrong.", "Check user= and the secret that password= refers to.")
_GONE = _Refusal("the connection was lost, or the server is shutting down.", "Try again.", transient=True)
_FULL = _Refusal("the server has no connection free.", "Try again later, or read fewer parts at once.", transient=True)
_STARTING = _Refusal("the server takes no connections at this moment.", "Try again in a moment.", transient=True)
_UNREACHABLE = _Refusal("the server cannot be reached.", "Check host=, port= and the firewall.", transient=True)
_UNKNOWN_HOST = _Refusal("the server cannot be reached: its name is not known.", "Check host=.")
_UNENCRYPTED = _Refusal("the server wants an encrypted connection.", "Say sslmode='require'.")
_NO_SNAPSHOT = _Refusal(
    "the moment at which the parts were to be read is no longer held.", "Run the load again.", transient=True
)
# Of a question of ours, which may take ten seconds.
_SLOW = _Refusal("the server did not answer in time.", "Perhaps the table is locked. Try again.", transient=True)
_CUT = "the server cut the statement short, as it took too long."
_CHANGED = "Look at the table, and run the load again."

# By SQLSTATE, or by its class of two characters.
_STATES: dict[str, _Refusal] = {
    "08": _GONE,
    "28P01": _LOGIN,
    "28000": _LOGIN,
    "3D000": _Refusal("there is no such database.", "Check database=."),
    "3F000": _Refusal("there is no such schema.", "Check schema=."),
    "40": _Refusal("another transaction stood in the way.", "Try again.", transient=True),
    "53300": _FULL,
    "53": _Refusal("the server is short of memory, disk or connections.", "Try again later.", transient=True),
    "53100": _Refusal("the server's disk is full.", "Ask whoever runs it."),
    "55P03": _Refusal("the table is locked.", "Try again later.", transient=True),
    "57014": _Refusal("the statement was cancelled.", "Ask whoever runs the server, or run the load again."),
    "57P01": _GONE,
    "57P02": _GONE,
    "57P03": _STARTING,
    "57P04": _Refusal("the database was dropped.", "Check database=."),
    "57P05": _GONE,
    "25P03": _GONE,
    "42P01": _Refusal("the table is gone, or was renamed, since its columns were looked up.", _CHANGED),
    "42703": _Refusal("a column is gone, or was renamed, since the table was looked up.", _CHANGED),
}

# What is refused before the server has given a SQLSTATE; the first that matches counts.
_WORDS: tuple[tuple[str, _Refusal], ...] = (
    (r"password authentication failed|no password supplied|not permitted to log ?in|role .* does not exist", _LOGIN),
    (r"pg_hba\.conf.*(no encryption|ssl off)", _UNENCRYPTED),
    (r"pg_hba\.conf", _Refusal(
        "the server lets this user into this database from elsewhere only.", "Ask for a line in its pg_hba.conf.")),
    (r"server does not support ssl", _Refusal(
        "the server offers no encryption.", "Say sslmode='prefer', or switch SSL on at the server.")),
    (r"root certificate|certificate verify|does not match host name", _Refusal(
        "the server's certificate cannot be verified.",
        "Put its authority's certificate into ~/.postgresql/root.crt, or say sslmode='require'.")),
    (r"temporary failure in name resolution", _UNREACHABLE),
    (r"could not translate host name", _UNKNOWN_HOST),
    (r"connection refused|timeout expired|timed out|no route to host|network is unreachable|no such file or directory",
     _UNREACHABLE),
    (r"database .* does not exist", _STATES["3D000"]),
    (r"too many (clients|connections)|remaining connection slots|sorry, too many", _FULL),
    (r"starting up|shutting down|recovery mode|not (yet )?accepting connections", _STARTING),
    (r"closed the connection|connection (has been |was )?(closed|reset)|broken pipe|terminating connection", _GONE),
    (r"could not (receive|send) data|no connection to the server|connection not open|ssl syscall|eof detected", _GONE),
)  # fmt: skip


def refusal(
    error: Exception, settings: PostgresSettings, password: str | None = None, table: str | None = None
) -> SourceError:
    """Turn a driver's error into the library's. It holds no form of the password.

    Parameters
    ----------
    error
        Of psycopg2 or ADBC.
    table
        Which table was read, to name it.
    """
    state = sqlstate(error)
    text = scrub(_sentence(error), *_forms(password))
    if state == "42501":
        found = _grant(text, settings, table)
    elif state == "57014" and hasattr(error, "pgcode"):
        found = _SLOW
    elif state == "57014" and "timeout" in text.lower():
        role = _quoted(settings.user)
        found = _Refusal(_CUT, f"Raise its limit: ALTER ROLE {role} SET statement_timeout = '1h'.")
    elif state in ("22023", "42704", "55000") and "snapshot" in text:
        found = _NO_SNAPSHOT
    elif state in ("42P01", "42703") and table is not None:
        found = _Refusal(f"table {table!r} changed while it was read: {text}.", _CHANGED)
    elif state is not None:
        found = _STATES.get(state) or _STATES.get(state[:2]) or _Refusal(f"{text}.")
    else:
        found = next((known for pattern, known in _WORDS if re.search(pattern, text, re.IGNORECASE)), _Refusal(text))
    return SourceError(settings.label(), found.reason, found.fix, transient=found.transient)


def sqlstate(error: Exception) -> str | None:
    """Return the five characters by which the server names an error, if it gave any."""
    return getattr(error, "pgcode", None) or getattr(error, "sqlstate", None)


def _sentence(error: Exception) -> str:
    """Return the server's own sentence; where there is none, the library's."""
    diagnosed = getattr(getattr(error, "diag", None), "message_primary", None)
    details = dict(getattr(error, "details", None) or ())
    given = diagnosed or details.get("PG_DIAG_MESSAGE_PRIMARY") or details.get(b"PG_DIAG_MESSAGE_PRIMARY")
    text = given.decode(errors="replace") if isinstance(given, bytes) else str(given or error)
    text = " ".join(text.split())
    text = re.sub(r"^(?:[A-Z_]+: )?\[libpq\] (?:Failed to connect: )?", "", text)
    return re.sub(r"[.\s]*(?:SQLSTATE: \w{5})?$", "", text)


def _grant(text: str, settings: PostgresSettings, table: str | None) -> _Refusal:
    """Say which right is missing, as the statement that gives it."""
    user, schema = _quoted(settings.user), _quoted(settings.db_schema)
    if re.search(r"permission denied for schema", text):
        reason = f"the user may not use schema {settings.db_schema!r}."
        return _Refusal(reason, f"Let an administrator run: GRANT USAGE ON SCHEMA {schema} TO {user};")
    shown = re.escape(" ".join((table or "").split()))
    if table is not None and re.fullmatch(rf"permission denied for [a-z ]+ {shown}", text):
        reason = f"the user may not read table {table!r}."
        return _Refusal(reason, f"Let an administrator run: GRANT SELECT ON {schema}.{_quoted(table)} TO {user};")
    # What lies behind a view, or a function in it.
    return _Refusal(f"{text}.", f"Let an administrator grant this to {settings.user!r}, or to the view's owner.")


def _quoted(name: str) -> str:
    return exp.to_identifier(name, quoted=True).sql("postgres")


def _forms(password: str | None) -> tuple[str, ...]:
    """Every way in which a password may be written in a message."""
    if not password:
        return ()
    return (password, quote(password, safe=""), quote(password), password.replace("\\", "\\\\").replace("'", "\\'"))
