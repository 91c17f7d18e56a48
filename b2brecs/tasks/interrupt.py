"""Ctrl-C while a job runs: noted, so that it is told from a failure even where a library swallows it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Interrupt:
    """Whether somebody has pressed Ctrl-C."""

    asked: bool = False


@contextmanager
def interrupts(*, gently: bool = False) -> Iterator[Interrupt]:
    """Note SIGINT while the block runs in the main thread; what is done about it else stays as it was.

    Parameters
    ----------
    gently
        Do nothing else the first time: the block looks by itself and ends when it can.
    """
    found = Interrupt()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield found
        return

    def heard(number: int, frame: FrameType | None) -> None:
        first, found.asked = not found.asked, True
        if not (gently and first):
            before(number, frame)

    signal.signal(signal.SIGINT, heard)
    try:
        yield found
    finally:
        signal.signal(signal.SIGINT, before)
