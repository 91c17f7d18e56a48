"""The lines of one run, in a file of its own, without the secrets that the run has read."""

from __future__ import annotations

import contextlib
import contextvars
import datetime as dt
import json
import logging
import threading
from collections import deque
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

from b2brecs.backends.protocols import Home
from b2brecs.configs.secrets import Secret
from b2brecs.sources.base import ReadSecret

_log = logging.getLogger(__name__)
# How many of the last lines are kept with the run itself, where there is no file.
KEPT_LINES = 200
_MASK = "****"
_current: contextvars.ContextVar[str | None] = contextvars.ContextVar("b2brecs_run", default=None)


class RunLog:
    """Writes a run's own lines, and those of the library's loggers while it goes on, to one place.

    On this machine that is ``<files>/logs/<run>.log``; in a bucket the file is written when the run has ended;
    elsewhere the last lines are kept in ``lines`` only. Lines of helper threads, which do not say whose they are,
    go to the log of every run under way.

    Parameters
    ----------
    home
        Whose files hold the log.
    run
        The run's id.
    """

    def __init__(self, home: Home, run: str) -> None:
        self.run = run
        self.place = place_of(home, run)
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._project = urlsplit(home.url).netloc
        self._secrets: set[str] = set()
        self._lock = threading.RLock()
        self._whole: list[str] | None = [] if "://" in self.place else None
        self._file: IO[str] | None = None
        self._handler = _Handler(self)
        self._token: contextvars.Token[str | None] | None = None

    @property
    def kept(self) -> dict[str, Any]:
        """What the run's record says about the log: where it is, or the lines themselves."""
        return {"log": self.place} if self.place else {"log_lines": list(self.lines)}

    def line(self, text: str) -> None:
        """Write a line, without secrets."""
        stamp = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M:%S}"
        with self._lock:
            clean: str = self.scrub(text)
            written = f"{stamp} {clean}"
            self.lines.append(written)
            if self._whole is not None:
                self._whole.append(written)
            if self._file is not None:
                self._file.write(written + "\n")
                self._file.flush()

    def open(self) -> None:
        """Begin: from now on the lines that loggers write in this context are taken too."""
        if self.place and self._whole is None:
            self._make(Path(self.place))
        self._token = _current.set(self.run)
        logging.getLogger("b2brecs").addHandler(self._handler)

    def reading(self, read: ReadSecret) -> ReadSecret:
        """Return ``read``, remembering what it returns so that ``scrub`` knows it."""

        def remembered(secret: Secret) -> str:
            value = read(secret)
            with self._lock:
                self._secrets |= _forms(value)
            return value

        return remembered

    def scrub(self, value: Any) -> Any:
        """Take the secrets read so far out of a text, or out of all texts of plain data."""
        if isinstance(value, str):
            with self._lock:
                known = sorted(self._secrets, key=len, reverse=True)
            for secret in known:
                value = value.replace(secret, _MASK)
            return value
        if isinstance(value, dict):
            return {key: self.scrub(item) for key, item in value.items()}
        return [self.scrub(item) for item in value] if isinstance(value, list | tuple) else value

    def close(self) -> None:
        """End the log; what is meant for a bucket is written there."""
        logging.getLogger("b2brecs").removeHandler(self._handler)
        if self._token is not None:
            with contextlib.suppress(ValueError):  # ended from another context, where nothing was set
                _current.reset(self._token)
            self._token = None
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None
            whole, self._whole = self._whole, None
        if whole:
            try:
                _upload(self._project, self.place, "\n".join(whole) + "\n")
            except Exception as error:  # noqa: BLE001 - a run is not lost for its log
                _log.warning("the log of run %s was not written to %s: %s", self.run, self.place, type(error).__name__)
                self.place = ""

    def _make(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a", encoding="utf-8")
        except OSError as error:
            _log.warning("the log of run %s cannot be written: %s", self.run, error)
            self.place = ""


class _Handler(logging.Handler):
    def __init__(self, log: RunLog) -> None:
        super().__init__()
        self._run_log = log
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        # The logger of that very name repeats what the run itself reports.
        if record.name != "b2brecs" and _current.get() in (None, self._run_log.run):
            try:
                self._run_log.line(self.format(record))
            except Exception:  # noqa: BLE001
                self.handleError(record)


def place_of(home: Home, run: str) -> str:
    """Return where a run's log is: a path, an address in a bucket that the home names, or nothing."""
    if "://" not in home.files:
        return str(Path(home.files) / "logs" / f"{run}.log")
    named = parse_qs(urlsplit(home.url).query).get("bucket")
    return f"{home.files}/logs/{run}.log" if home.files.startswith("gs://") and named else ""


def _upload(project: str, place: str, text: str) -> None:
    from b2brecs.errors import require

    storage: Any = require("google.cloud.storage", feature="a log in a bucket", extra="gcp")
    bucket, _, name = place.removeprefix("gs://").partition("/")
    storage.Client(project=project).bucket(bucket).blob(name).upload_from_string(text, content_type="text/plain")


def _forms(secret: str) -> set[str]:
    """Return the ways a secret may stand in a text: as it is, quoted, escaped, and a key's own lines."""
    forms = {secret, quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1], json.dumps(secret)[1:-1]}
    try:
        inner = json.loads(secret)
    except ValueError:
        inner = None
    if isinstance(inner, dict):
        for name, value in inner.items():
            if isinstance(value, str) and any(word in name.lower() for word in ("key", "secret", "token", "password")):
                forms |= {value, json.dumps(value)[1:-1], *(line for line in value.splitlines() if len(line) >= 16)}
    return {form for form in forms if form}
