"""MySQL's packets cut into columns, however they arrive. The server's own are read in ``test_mysql_types``."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from b2brecs.sources import mysql_packets
from b2brecs.sources.mysql_packets import BrokenProtocol, ServerError, columns

END = b"\xfe\x00\x00\x02\x00"


def written(value):
    if value is None:
        return b"\xfb"
    size = len(value)
    if size < 251:
        return bytes([size]) + value
    if size < 2**16:
        return b"\xfc" + size.to_bytes(2, "little") + value
    if size < 2**24:
        return b"\xfd" + size.to_bytes(3, "little") + value
    return b"\xfe" + size.to_bytes(8, "little") + value


def packets(contents, first=7, longest=mysql_packets._LONGEST):
    sent = b""
    for content in contents:
        pieces = [content[start : start + longest] for start in range(0, len(content) + 1, longest)]
        for piece in pieces:
            sent += len(piece).to_bytes(3, "little") + bytes([first % 256]) + piece
            first += 1
    return sent


def receiving(sent, sizes=(2**30,)):
    """Give what was sent in pieces of such sizes, over and over."""
    place, turn = 0, 0

    def receive(into):
        nonlocal place, turn
        size = max(1, min(sizes[turn % len(sizes)], len(into), len(sent) - place)) if place < len(sent) else 0
        into[:size] = sent[place : place + size]
        place, turn = place + size, turn + 1
        return size

    return receive


def read(sent, width, most=1000, window=1 << 16, sizes=(2**30,)):
    batches = list(columns(receiving(sent, sizes), width, most, window))
    assert all(len(array) <= most for batch in batches for array in batch)
    return [row for batch in batches for row in zip(*[array.to_pylist() for array in batch], strict=True)]


VALUES = st.none() | st.binary(max_size=20) | st.sampled_from([250, 251, 252, 255, 256, 65535, 65536, 70000]).map(
    lambda size: b"\xfe" * size
)  # fmt: skip
ROWS = st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[VALUES] * width), min_size=0, max_size=20))


@settings(max_examples=40, deadline=None)
@given(ROWS, st.integers(1, 40), st.integers(8, 400), st.lists(st.integers(1, 9000), min_size=1, max_size=5))
def test_rows_come_back_however_they_arrive(rows, most, window, sizes):
    sent = packets([b"".join(map(written, row)) for row in rows] + [END])
    assert read(sent, len(rows[0]) if rows else 3, most, window, sizes) == rows


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.none() | st.binary(max_size=80), st.binary(max_size=40)), max_size=12),
    st.integers(1, 3),
    st.integers(64, 300),
    st.lists(st.integers(1, 100), min_size=1, max_size=4),
)
def test_rows_of_several_packets_come_back(rows, most, window, sizes):
    """As if a packet held 16 bytes at most, so that any row is continued by others."""
    longest = 16
    sent = packets([b"".join(map(written, row)) for row in rows] + [END], longest=longest)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mysql_packets, "_LONGEST", longest)
        assert read(sent, 2, most, window, sizes) == rows


@pytest.mark.parametrize("first", [b"\xfe", b"\xff", b"\xfb"])
def test_a_packet_that_continues_a_row_may_begin_with_any_byte(first, monkeypatch):
    monkeypatch.setattr(mysql_packets, "_LONGEST", 16)
    value = b"x" * 15 + first + b"end"
    sent = packets([written(value), written(b"next"), END], longest=16)
    for size in range(1, len(sent) + 1):
        assert read(sent, 1, sizes=(size,)) == [(value,), (b"next",)]


def test_numbers_of_packets_go_round():
    rows = [(str(number).encode(),) for number in range(2000)]
    assert read(packets([written(row[0]) for row in rows] + [END], first=250), 1) == rows


def test_an_error_between_rows_is_given_as_it_was_sent():
    error = b"\xff\x25\x05#70100Query execution was interrupted"
    batches = columns(receiving(packets([written(b"1"), error]), (7, 3)), 1, 1)
    assert next(batches)[0].to_pylist() == [b"1"]
    with pytest.raises(ServerError) as caught:
        next(batches)
    assert caught.value.packet == error


@pytest.mark.parametrize("lost", [1, 5, 9, 12])
def test_rows_without_an_end_are_an_error(lost):
    sent = packets([written(b"12345"), END])
    with pytest.raises(ConnectionError):
        read(sent[:-lost], 1)


@pytest.mark.parametrize(
    "sent",
    [
        packets([written(b"1")]) + packets([written(b"2"), END], first=9),
        packets([b"\x05123", END]),
        packets([b"\x01123", END]),
        packets([b"\xfc\xff", END]),
        packets([b"\xfd\xff\xff\xff", END]),
        packets([b"\xfe" + b"\xff" * 8, END]),
    ],
    ids=["a packet is missing", "too short", "too long", "no length", "far beyond", "farthest"],
)
def test_what_is_no_row_is_refused(sent):
    with pytest.raises(BrokenProtocol):
        read(sent, 1)
