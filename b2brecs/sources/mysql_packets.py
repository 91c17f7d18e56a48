"""Rows as MySQL sends them, cut into Arrow columns.

A row is a packet: its length in three bytes, its number in one, then each value's length and text. Only the packets are
gone through one by one; their values are found for all rows at once, as a loop over values takes many times longer.
The server is read no faster than batches are taken, so that memory holds one window of what it has sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

WINDOW = 2 * 2**20
_HEADER = 4
# A packet of this length is continued by the next one.
_LONGEST = 0xFFFFFF
# What a packet begins with that is no row; as the first byte of a long row, 0xFE is a length.
_END, _ERROR, _SHORT = 0xFE, 0xFF, 9
# First bytes of a value that are not its length: NULL, and lengths of two, three and eight bytes.
_NULL, _TWO, _THREE, _EIGHT = 251, 252, 253, 254


class ServerError(Exception):
    """The server ended the rows with an error; ``packet`` is its text as it was sent."""

    def __init__(self, packet: bytes) -> None:
        self.packet = packet
        super().__init__(packet)


class BrokenProtocol(ConnectionError):
    """What was received is not what MySQL sends."""


def columns(
    receive: Callable[[memoryview], int], width: int, most: int, window: int = WINDOW
) -> Iterator[list[pa.BinaryArray]]:
    """Read the rows of a result, each value as the bytes of its text.

    Parameters
    ----------
    receive
        Fills the beginning of a buffer and says how far, as ``readinto1`` of a file does.
    width
        How many columns there are.
    most
        How many rows a batch holds at most.
    window
        How many bytes are received before they are cut up.

    Raises
    ------
    ServerError
        The server broke off.
    ConnectionError
        The connection was lost.
    """
    received = _Window(receive, window)
    row: list[Bytes] = []
    while not received.ended:
        starts, ends = received.packets(most)
        if row or (ends - starts == _LONGEST).any():
            yield from _piecewise(received.data, starts, ends, row, width)
        else:
            for first in range(0, len(starts), most):
                chosen = slice(first, first + most)
                yield _cut(received.data, starts[chosen], ends[chosen], width)
        received.drop()


def _piecewise(
    data: Bytes, starts: Places, ends: Places, row: list[Bytes], width: int
) -> Iterator[list[pa.BinaryArray]]:
    """Go through packets one by one, as some of them make one row together; ``row`` is what there is of it."""
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        row.append(data[start:end].copy())
        if end - start < _LONGEST:
            whole = np.concatenate(row)
            row.clear()
            yield _cut(whole, np.zeros(1, np.int64), np.array([len(whole)]), width)


class _Window:
    """What was received and has not been used: packets, the last of which may not be whole."""

    def __init__(self, receive: Callable[[memoryview], int], size: int) -> None:
        self._receive = receive
        self._held = bytearray(size)
        self.data: Bytes = np.frombuffer(self._held, np.uint8)
        self._have = self._looked = 0
        self._number: int | None = None
        self._continued = False
        self.ended = False

    def packets(self, most: int) -> tuple[Places, Places]:
        """Receive until the window is full, there are ``most`` packets, or there will be no more.

        Returns where the contents of rows start and end.
        """
        found: list[Places] = []
        count = 0
        while not self.ended and (not count or (self._have < len(self._held) and count < most)):
            headers = self._more()
            if len(headers):
                found.append(headers)
                count += len(headers)
                self._see(headers)
        headers = np.concatenate(found)
        self._check(headers)
        starts, ends = headers + _HEADER, np.append(headers[1:], self._looked)
        return (starts[:-1], ends[:-1]) if self.ended else (starts, ends)

    def _see(self, headers: Places) -> None:
        """Look whether the last packet ends the rows. One that continues another may begin with any byte."""
        if len(headers) > 1:
            self._continued = int(headers[-1] - headers[-2]) == _LONGEST + _HEADER
        start, end = int(headers[-1]) + _HEADER, self._looked
        if not self._continued and end > start:
            first = int(self.data[start])
            if first == _ERROR:
                raise ServerError(bytes(self.data[start:end]))
            self.ended = first == _END and end - start < _SHORT
        self._continued = end - start == _LONGEST

    def drop(self) -> None:
        """Forget all packets but the one that is not whole."""
        rest = self._have - self._looked
        self.data[:rest] = self.data[self._looked : self._have].copy()
        self._have, self._looked = rest, 0

    def _more(self) -> Places:
        if self._have == len(self._held):
            # One packet fills the window.
            self._held = self._held + bytearray(len(self._held))
            self.data = np.frombuffer(self._held, np.uint8)
        received = self._receive(memoryview(self._held)[self._have :])
        if not received:
            raise ConnectionResetError("the connection ended before the rows did")
        self._have += received
        headers = np.fromiter(self._headers(), np.int64)
        if self._looked > self._have:
            self._looked = int(headers[-1])
            headers = headers[:-1]
        return headers

    def _headers(self) -> Iterator[int]:
        place, last, data = self._looked, self._have - _HEADER + 1, self._held
        while place < last:
            yield place
            place += (data[place] | data[place + 1] << 8 | data[place + 2] << 16) + _HEADER
        self._looked = place

    def _check(self, headers: Places) -> None:
        """Packets are numbered, modulo 256."""
        numbers = self.data[headers + 3]
        first = int(numbers[0]) if self._number is None else self._number
        if not np.array_equal(numbers, ((first + np.arange(len(headers))) & 0xFF).astype(np.uint8)):
            raise BrokenProtocol("a packet is missing")
        self._number = (first + len(headers)) & 0xFF


def _cut(data: Bytes, starts: Places, ends: Places, width: int) -> list[pa.BinaryArray]:
    raw = pa.py_buffer(data)
    count = len(starts)
    every_other = np.arange(0, 2 * count, 2, dtype=np.int32)
    found = []
    place = starts
    for _ in range(width):
        if (place >= ends).any():
            raise BrokenProtocol("a row is too short")
        start, length, null = _value(data, place)
        place = start + length
        if (place > ends).any() or (place < start).any():
            raise BrokenProtocol("a value is longer than its row")
        # Values and what lies between them alternate, so the bytes can stand where they are until they are taken.
        edges = np.empty(2 * count + 1, np.int32)
        edges[0:-1:2], edges[1::2], edges[-1:] = start, place, place[-1:]
        both = pa.Array.from_buffers(pa.binary(), 2 * count, [None, pa.py_buffer(edges), raw])
        found.append(both.take(pa.array(every_other, mask=null if null.any() else None)))
    if not np.array_equal(place, ends):
        raise BrokenProtocol("a row does not end where it should")
    return found


def _value(data: Bytes, place: Places) -> tuple[Places, Places, npt.NDArray[np.bool_]]:
    """Read the lengths of one column's values: where they start, how long they are, which are NULL."""
    first = data[place]
    length = first.astype(np.int64)
    start = place + 1
    null = first == _NULL
    if null.any():
        length[null] = 0
    if (first > _NULL).any():
        for kind, size in ((_TWO, 2), (_THREE, 3), (_EIGHT, 8)):
            rows = np.flatnonzero(first == kind)
            there = place[rows, None] + np.arange(1, size + 1)
            if there.size and int(there.max()) >= len(data):
                raise BrokenProtocol("a row is too short")
            # Each byte in its place; no length has its highest bit set.
            length[rows] = (data[there].astype(np.int64) << (8 * np.arange(size))).sum(axis=1)
            start[rows] += size
    return start, length, null
