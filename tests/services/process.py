"""Start a server on free ports of the loopback interface, wait for it, stop it."""

import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tenacity import (
    Retrying,
    retry,
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
)

HOST = "127.0.0.1"

Command = Sequence[str | Path]


class ServerEndedError(RuntimeError):
    """A server ended before it answered, perhaps since its port was taken."""


def free_ports(count: int) -> tuple[int, ...]:
    """Different ports that nothing listens on at this moment."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return tuple(each.getsockname()[1] for each in sockets)


def unprivileged() -> pwd.struct_passwd | None:
    """Whom to run a server as that refuses to run as root; None: as ourselves."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "mysql"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    return pwd.getpwnam("nobody")


@contextmanager
def folder(name: str, owner: pwd.struct_passwd | None = None) -> Iterator[Path]:
    """Yield a temporary folder; with an owner, one that this user may reach."""
    with tempfile.TemporaryDirectory(prefix=f"b2brecs-{name}-", ignore_cleanup_errors=True) as made:
        if owner is not None:
            os.chown(made, owner.pw_uid, owner.pw_gid)
        yield Path(made)


def run(
    *command: str | Path,
    owner: pwd.struct_passwd | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a command to its end; its output is shown only if it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        user=owner and owner.pw_uid,
        group=owner and owner.pw_gid,
        extra_groups=owner and [],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed:\n{done.stdout}")


def http_answers(port: int) -> None:
    """Raise unless an HTTP server answers."""
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", "/")
        status = connection.getresponse().status
    finally:
        connection.close()
    if status >= 500:
        raise ConnectionError(f"HTTP {status}")


@contextmanager
def server(
    command: Callable[..., Command],
    answers: Callable[[int], None] = http_answers,
    *,
    name: str,
    ports: int = 1,
    owner: pwd.struct_passwd | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stop: signal.Signals = signal.SIGTERM,
    timeout: float = 90,
) -> Iterator[tuple[int, ...]]:
    """Run a server while the context is open.

    Parameters
    ----------
    command
        Called with the ports, returns the command line.
    answers
        Called with the first port; raises as long as the server is not ready.
    name
        Used in error messages.
    ports
        How many ports the server listens on.
    owner
        The user to run as.
    cwd, env
        Working folder; environment variables to add.
    stop
        The signal that ends the server in good order.
    timeout
        Seconds to wait for the first answer.

    Yields
    ------
    tuple of int
        The ports.
    """
    with folder(f"{name}-log") as logs:
        log = logs / "server.log"

        @retry(
            retry=retry_if_exception_type(ServerEndedError),
            stop=stop_after_attempt(3),
            reraise=True,
        )
        def start() -> tuple[subprocess.Popen[bytes], tuple[int, ...]]:
            chosen = free_ports(ports)
            with log.open("wb") as output:
                process = subprocess.Popen(
                    _dies_with_us(command(*chosen), stop),
                    cwd=cwd,
                    env={**os.environ, **(env or {})},
                    user=owner and owner.pw_uid,
                    group=owner and owner.pw_gid,
                    extra_groups=owner and [],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            try:
                _wait(process, name, log, timeout, lambda: answers(chosen[0]))
            except BaseException:
                _end(process, stop)
                raise
            return process, chosen

        process, chosen = start()
        try:
            yield chosen
        finally:
            _end(process, stop)


def _wait(
    process: subprocess.Popen[bytes],
    name: str,
    log: Path,
    timeout: float,
    answers: Callable[[], None],
) -> None:
    def output() -> str:
        return log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def alive() -> None:
        if process.poll() is not None:
            raise ServerEndedError(f"{name} ended with code {process.returncode}:\n{output()}")

    try:
        for attempt in Retrying(
            retry=retry_if_not_exception_type((ServerEndedError, KeyboardInterrupt)),
            stop=stop_after_delay(timeout),
            wait=wait_exponential(multiplier=0.02, max=0.3),
            reraise=True,
        ):
            with attempt:
                alive()
                answers()
                alive()
    except ServerEndedError:
        raise
    except Exception as error:
        raise TimeoutError(f"{name} did not answer in {timeout:g} s ({error}):\n{output()}") from error


def _dies_with_us(command: Command, stop: signal.Signals) -> Command:
    """Let Linux end the server when the tests are killed."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return command
    return [setpriv, "--pdeathsig", stop.name.removeprefix("SIG"), "--", *command]


def _end(process: subprocess.Popen[bytes], stop: signal.Signals) -> None:
    """End a server and all that it started in its session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, stop)
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=10)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
