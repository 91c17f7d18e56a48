"""Find uv, and the Python that TFX needs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from b2brecs.errors import B2BRecsError, MissingExtra

VERSION = "3.11"
_PROBE = "import sys; print('%d.%d' % sys.version_info[:2], getattr(sys, '_base_executable', sys.executable))"


class NoPython(B2BRecsError):
    """There is no Python of the version that TFX needs."""

    def __str__(self) -> str:
        return (
            f"a TFX pipeline needs Python {VERSION}, and none was found on PATH, under ~/.pyenv or by uv. "
            f"Install one, e.g. `uv python install {VERSION}` or `pyenv install {VERSION}`."
        )


def find_uv() -> str:
    """Return the path of uv: the package's own binary, else the one on PATH.

    Raises
    ------
    MissingExtra
        There is none.
    """
    try:
        import uv

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        found = shutil.which("uv")
        if found is None:
            raise MissingExtra("a TFX pipeline on this machine", "uv", "tfx") from None
        return found


def find_python() -> str:
    """Return the path of a working Python 3.11, or ``"3.11"`` when uv may download one.

    Raises
    ------
    NoPython
        There is none, and ``UV_PYTHON_DOWNLOADS`` forbids uv to fetch one.
    """
    for candidate in _candidates():
        path = _probe(candidate)
        if path:
            return path
    found = _output([find_uv(), "python", "find", VERSION])
    path = _probe(found) if found else None
    if path:
        return path
    if os.environ.get("UV_PYTHON_DOWNLOADS", "automatic").lower() in {"never", "manual", "false", "0"}:
        raise NoPython
    return VERSION


def _candidates() -> Iterator[str]:
    yield sys.executable
    for name in (f"python{VERSION}", "python3", "python"):
        found = shutil.which(name)
        if found:
            yield found
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from (str(path) for path in sorted(root.glob(f"versions/{VERSION}.*/bin/python"), reverse=True))


def _probe(python: str) -> str | None:
    """Return the base interpreter behind a command if it starts and has the right version."""
    version, _, path = _output([python, "-I", "-c", _PROBE]).partition(" ")
    return path if version == VERSION else None


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
