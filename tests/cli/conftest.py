"""The command line on a fresh home with a connection to the source in memory."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import b2brecs as b2b
from b2brecs.cli import app
from tests.workspace.conftest import hooks, os_keyring

__all__ = ["hooks", "os_keyring"]
ROOT = Path(__file__).parents[2]
# No command takes so long; what does is ended.
LIMIT = 120
# As the program is, but that it knows the source in memory.
PROGRAM = """
import sys
from tests.workspace import memory
memory.HOOKS["endless"] = lambda number: number == 1 and print("loading", file=sys.stderr, flush=True)
from b2brecs.cli import main
main()
"""


@dataclass(frozen=True)
class Answer:
    """What a command did."""

    code: int
    out: str
    err: str


Cli = Callable[..., Answer]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    with b2b.Workspace.local(folder) as ws:
        ws.save(b2b.Connection.of("shop", "shop_memory"))
        ws.save(b2b.EtlJob("nightly", connection="shop").load("one").load("two"))
    return folder


@pytest.fixture
def cli(home: Path, hooks: dict) -> Iterator[Cli]:
    """Run a command in this process."""
    log = logging.getLogger("b2brecs")
    before = (log.handlers, log.level, log.propagate, signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))

    def run(*arguments: str, stdin: str | None = None, place: str | None = None) -> Answer:
        options = [] if place == "" else ["--home", place or str(home)]
        result = CliRunner().invoke(app, [*options, *arguments], input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Answer(result.exit_code, result.stdout, result.stderr)

    yield run
    log.handlers, log.level, log.propagate = before[:3]
    signal.signal(signal.SIGTERM, before[3])
    signal.signal(signal.SIGINT, before[4])


class Process:
    """The program in a process of its own."""

    def __init__(self, home: Path, *arguments: str) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "B2BRECS_HOME": str(home)}
        self.popen: Any = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments], env=environment, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.seen: list[str] = []

    def until(self, text: str) -> None:
        """Read stderr up to a line with a text."""
        late = threading.Timer(LIMIT, self.popen.kill)
        late.start()
        try:
            for line in self.popen.stderr:
                self.seen.append(line)
                if text in line:
                    return
        finally:
            late.cancel()
        pytest.fail(f"{text!r} was not said:\n{''.join(self.seen)}")

    def end(self) -> Answer:
        """Wait for its end."""
        out, err = self.popen.communicate(timeout=LIMIT)
        return Answer(self.popen.returncode, out, "".join(self.seen) + err)


@pytest.fixture
def start(home: Path) -> Iterator[Callable[..., Process]]:
    """Start the program in a process of its own."""
    started: list[Process] = []

    def begin(*arguments: str) -> Process:
        started.append(Process(home, *arguments))
        return started[-1]

    yield begin
    for process in started:
        process.popen.kill()
        process.popen.communicate()
