"""Make the TFX environment once, and run scripts in it.

TFX pins packages (pandas 1.5, pyarrow 10, TensorFlow 2.16) that b2brecs cannot share, so it gets a Python 3.11
environment of its own, installed from ``requirements.lock``.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from b2brecs.backends.local.tfx.interpreter import find_python, find_uv
from b2brecs.errors import B2BRecsError, RunFailed

LOCK = Path(__file__).with_name("requirements.lock")
LOCATION_VARIABLE = "B2BRECS_TFX_ENV"
COMMAND = "python -m b2brecs.backends.local.tfx.environment"
_STAMP = "b2brecs-environment.json"
_TAIL = 40

Log = Callable[[str], None]


class EnvironmentFailed(B2BRecsError):
    """The TFX environment could not be made."""


@dataclass(frozen=True)
class TfxEnvironment:
    """A finished TFX environment.

    Parameters
    ----------
    path
        Its folder.
    """

    path: Path

    @property
    def python(self) -> Path:
        """The environment's interpreter."""
        return self.path / "bin" / "python"

    def run(
        self,
        target: str | Path,
        args: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        log: Log | None = None,
        *,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        """Run a script (a path) or a module (a dotted name) and wait for its end.

        Parameters
        ----------
        target
            Path of a ``.py`` file, or the name of a module that is installed in the environment.
        args
            Command-line arguments; other users of the machine can read them.
        env
            Environment variables on top of this process's own.
        log
            Called with each line of output.
        secrets
            Environment variables that are hidden in the log and refused in ``args``.

        Raises
        ------
        RunFailed
            The script ended with an error; the message holds its last lines.
        ValueError
            A secret stands in ``args``.
        """
        hidden = [value for value in (secrets or {}).values() if value]
        if any(value in arg for value in hidden for arg in args):
            message = "a secret stands in the arguments, where other users could read it; pass it in `secrets` only"
            raise ValueError(message)
        path = Path(target)
        command = [str(path)] if path.suffix == ".py" else ["-m", str(target)]
        code, tail = _stream(
            [str(self.python), *command, *args],
            env={**_clean_environ(), **self._variables(), **(env or {}), **(secrets or {})},
            log=log,
            hidden=hidden,
        )
        if code:
            raise RunFailed(path.stem, f"ended with code {code}.\n" + "\n".join(tail))

    def _variables(self) -> dict[str, str]:
        return {
            "PATH": os.pathsep.join([str(self.path / "bin"), os.environ.get("PATH", "")]),
            "VIRTUAL_ENV": str(self.path),
            "PYTHONUNBUFFERED": "1",
            "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", "ignore::FutureWarning,ignore::DeprecationWarning"),
            "TF_USE_LEGACY_KERAS": "1",
            "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        }


def location(path: Path | None = None) -> Path:
    """Return where the environment is: the argument, else ``B2BRECS_TFX_ENV``, else the user's cache folder."""
    if path is None:
        given = os.environ.get(LOCATION_VARIABLE)
        path = Path(given) if given else platformdirs.user_cache_path("b2brecs") / "tfx"
    return Path(os.path.abspath(path.expanduser()))  # noqa: PTH100  (a symlink must stay one)


def find(path: Path | None = None, *, lock: Path = LOCK) -> TfxEnvironment | None:
    """Return the environment if it is there, finished and made from this lock; else None."""
    environment = TfxEnvironment(location(path))
    try:
        stamp = json.loads((environment.path / _STAMP).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    same = isinstance(stamp, dict) and stamp.get("lock") == _digest(lock)
    return environment if same and environment.python.exists() else None


def ensure(path: Path | None = None, *, on_progress: Log | None = None, lock: Path = LOCK) -> TfxEnvironment:
    """Return the environment, after making it when it is missing or was made from another lock.

    Making it takes one to three minutes and 3 GB, and needs the network; afterwards it does not. Of several
    callers at once one installs and the others wait. An install that was killed is thrown away by the next one.

    Parameters
    ----------
    path
        The folder; see ``location`` for the default.
    on_progress
        Called with a line of text now and then.
    lock
        The pinned requirements.

    Raises
    ------
    MissingExtra
        uv is not installed.
    EnvironmentFailed
        There is no Python 3.11, the install failed, or the folder holds something else.
    """
    say = on_progress or (lambda _line: None)
    found = find(path, lock=lock)
    if found:
        return found
    target = location(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with _exclusive(target, say) as handle:
        found = find(target, lock=lock)
        if found:
            return found
        _refuse_foreign(target)
        partial = target.with_name(f".{target.name}.partial")
        _remove(partial)
        try:
            _install(partial, lock, say, handle)
        except BaseException:
            _remove(partial)
            raise
        _swap(partial, target)
    return TfxEnvironment(target)


def _install(folder: Path, lock: Path, say: Log, handle: int) -> None:
    uv, python = find_uv(), find_python()
    say(f"Making the TFX environment with {python} (3 GB, one to three minutes)…")
    _uv(uv, ["venv", "--relocatable", "--python", python, str(folder)], folder.parent, say, handle)
    arguments = ["--require-hashes", "--compile-bytecode", "--allow-empty-requirements", str(lock)]
    interpreter = str(folder / "bin" / "python")
    _uv(uv, ["pip", "sync", "--python", interpreter, *arguments], folder.parent, say, handle)
    stamp = {"lock": _digest(lock), "python": python}
    (folder / _STAMP).write_text(json.dumps(stamp, indent=1) + "\n", "utf-8")


def _uv(uv: str, arguments: Sequence[str], folder: Path, say: Log, handle: int) -> None:
    # uv inherits the lock's handle: should this process be killed, the lock lasts until uv has ended too.
    code, tail = _stream([uv, *arguments], env=_clean_environ(), log=say, cwd=folder, pass_fds=(handle,))
    if code:
        message = f"the TFX environment could not be made: `uv {arguments[0]}` ended with code {code}.\n"
        raise EnvironmentFailed(message + "\n".join(tail))


def _swap(partial: Path, target: Path) -> None:
    old = target.with_name(f".{target.name}.old")
    _remove(old)
    if target.exists():
        target.rename(old)
    partial.rename(target)
    _remove(old)


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


def _refuse_foreign(target: Path) -> None:
    """Never replace a folder that is no environment of ours."""
    if target.is_dir() and (not any(target.iterdir()) or (target / _STAMP).exists()):
        return
    if target.exists():
        message = (
            f"{target} exists and is no TFX environment of b2brecs. Delete it, or name another folder in "
            f"{LOCATION_VARIABLE}."
        )
        raise EnvironmentFailed(message)


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes()).hexdigest()


def _clean_environ() -> dict[str, str]:
    """Return this process's variables without those that lead another Python astray."""
    astray = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "CONDA_PREFIX", "UV_PROJECT_ENVIRONMENT"}
    return {key: value for key, value in os.environ.items() if key not in astray}


@contextlib.contextmanager
def _exclusive(target: Path, say: Log) -> Iterator[int]:
    """Hold a lock beside the environment; the system drops it when its holders end."""
    try:
        import fcntl
    except ImportError:
        message = "TFX runs on Linux and macOS; train with training.tfrs here, or run TFX on Vertex AI."
        raise EnvironmentFailed(message) from None
    with target.with_name(f".{target.name}.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Waiting for another process that is making the TFX environment…")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _stream(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Log | None,
    cwd: Path | None = None,
    pass_fds: Sequence[int] = (),
    hidden: Sequence[str] = (),
) -> tuple[int, list[str]]:
    """Run a command, hand on its lines, and return its code and last lines."""
    tail: deque[str] = deque(maxlen=_TAIL)
    with subprocess.Popen(  # noqa: S603  (our own interpreter, no shell)
        command,
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        pass_fds=pass_fds,
    ) as process:
        try:
            for raw in process.stdout or ():
                line = raw.rstrip()
                for value in hidden:
                    line = line.replace(value, "****")
                tail.append(line)
                if log:
                    log(line)
            return process.wait(), list(tail)
        except BaseException:
            _end(process)
            raise


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Make the environment from the command line."""
    parser = argparse.ArgumentParser(prog=COMMAND, description="Make the TFX environment, unless it is there.")
    parser.add_argument("--path", type=Path, help=f"its folder (default: {LOCATION_VARIABLE}, else the user's cache)")
    parser.add_argument("--quiet", action="store_true", help="show no progress")
    options = parser.parse_args(argv)
    found = find(options.path)
    if found:
        sys.stdout.write(f"TFX environment is ready: {found.path}\n")
        return 0
    started = time.monotonic()
    say: Log = (lambda _line: None) if options.quiet else _to_stderr
    try:
        made = ensure(options.path, on_progress=say)
    except B2BRecsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"TFX environment made in {time.monotonic() - started:.0f} s: {made.path}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
