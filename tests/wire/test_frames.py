"""Frames arrive whole and in order, whatever pieces the pipe makes of them."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from poolwise.wire.frames import READ_BYTES, FrameReader, FrameWriter

BIG = 300_000

payloads = st.lists(
    st.tuples(st.integers(0, 255), st.binary(max_size=200) | st.integers(0, BIG).map(bytes)),
    max_size=8,
)


@pytest.fixture
def pipe():
    """A pipe, closed at the end, by whoever still has it open."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        try:
            os.close(fd)
        except OSError:
            pass


def as_bytes(frames):
    """Frames, as they travel."""
    return b"".join(
        (kind << 56 | len(payload)).to_bytes(8, "little") + payload for kind, payload in frames
    )


def read_all(fd):
    """Every frame until the other end is closed."""
    reader, frames = FrameReader(fd), []
    while True:
        try:
            frames += [(kind, bytes(payload)) for kind, payload in reader.read()]
        except EOFError:
            return frames


def write_in_thread(fd, pieces):
    """Write pieces one after the other and close, while another thread reads."""

    def write():
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                rest = rest[os.write(fd, rest) :]
        os.close(fd)

    thread = threading.Thread(target=write)
    thread.start()
    return thread


def read_pieces(pieces):
    """The frames that a reader makes of the pieces."""
    reader, writer = os.pipe()
    thread = write_in_thread(writer, pieces)
    try:
        return read_all(reader)
    finally:
        thread.join()
        os.close(reader)


@settings(max_examples=40)
@given(payloads, st.randoms(use_true_random=False))
def test_frames_may_be_split_anywhere(frames, random):
    whole = as_bytes(frames)
    cuts = sorted(random.randrange(len(whole) + 1) for _ in range(5))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    assert read_pieces(pieces) == frames


def test_a_frame_may_come_byte_by_byte():
    frames = [(1, b"abc"), (2, b""), (3, b"d")]
    assert read_pieces([bytes([byte]) for byte in as_bytes(frames)]) == frames


@pytest.mark.parametrize("kept", [1, 7, 8, 9, 100, 8 + BIG - 1])
def test_half_a_frame_before_the_end_is_lost_and_nothing_else(kept):
    whole = as_bytes([(1, b"good"), (2, bytes(BIG))])
    assert read_pieces([whole[: 12 + kept]]) == [(1, b"good")]


@pytest.mark.parametrize(
    "size", [0, 1, READ_BYTES - 8, READ_BYTES, READ_BYTES + 1, 10 * READ_BYTES]
)
def test_sizes_around_one_read(size):
    payload = os.urandom(size)
    assert read_pieces([as_bytes([(5, payload), (6, b"after")])]) == [(5, payload), (6, b"after")]


def test_reading_without_blocking_says_that_nothing_is_there(pipe):
    os.set_blocking(pipe[0], False)
    with pytest.raises(BlockingIOError):
        FrameReader(pipe[0]).read()


# -- writing


@settings(max_examples=40)
@given(payloads)
def test_what_is_written_to_a_blocking_pipe_is_read(frames):
    reader, writer = os.pipe()
    got = []
    thread = threading.Thread(target=lambda: got.extend(read_all(reader)))
    thread.start()
    frame_writer = FrameWriter(writer)
    for kind, payload in frames:
        half = len(payload) // 2
        size = frame_writer.write(kind, (payload[:half], memoryview(payload)[half:]))
        assert size == 8 + len(payload)
        assert frame_writer.pending_bytes == 0
    os.close(writer)
    thread.join()
    os.close(reader)
    assert got == frames


@settings(max_examples=40)
@given(payloads)
def test_a_full_pipe_keeps_nobody_waiting_and_loses_nothing(frames):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    frame_writer, frame_reader, got = FrameWriter(writer), FrameReader(reader), []
    for kind, payload in frames:
        frame_writer.write(kind, (payload,))
    while len(got) < len(frames):
        frame_writer.flush()
        got += [(kind, bytes(payload)) for kind, payload in frame_reader.read()]
    assert frame_writer.pending_bytes == 0
    assert got == frames
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("huge_bytes", [1, 1 << 40], ids=["huge pages", "pages"])
def test_what_waits_is_sent_as_it_was_and_arrives_writable(pipe, monkeypatch, huge_bytes):
    monkeypatch.setattr("poolwise.wire.pages.HUGE_BYTES", huge_bytes)
    reader, writer = FrameReader(pipe[0]), FrameWriter(pipe[1])
    os.set_blocking(pipe[1], False)
    parts = [bytearray(bytes([n]) * BIG) for n in (1, 2, 3)]
    writer.write(1, (b"h", *map(memoryview, parts[:2])))
    writer.write(2, (b"i", memoryview(parts[2]), b"j" * BIG))
    for part in parts:
        part[:] = bytes(BIG)
    got = []
    while len(got) < 2:
        writer.flush()
        got += reader.read()
    assert [kind for kind, _ in got] == [1, 2]
    assert got[0][1] == b"h" + b"\1" * BIG + b"\2" * BIG
    assert got[1][1] == b"i" + b"\3" * BIG + b"j" * BIG
    assert not any(payload.readonly for _, payload in got)


def test_what_waits_is_counted(pipe):
    reader, writer = pipe
    os.set_blocking(writer, False)
    frame_writer = FrameWriter(writer)
    frame_writer.write(1, (bytes(10**6),))
    waiting = frame_writer.pending_bytes
    assert 0 < waiting < 10**6 + 8
    frame_writer.write(2, (b"abc",))
    assert frame_writer.pending_bytes == waiting + 11
    taken = len(os.read(reader, 50_000))
    assert not frame_writer.flush()
    assert frame_writer.pending_bytes >= waiting + 11 - taken


def test_many_small_parts_are_one_frame(pipe):
    parts = [bytes([at % 256]) for at in range(3000)]
    FrameWriter(pipe[1]).write(9, parts)
    os.close(pipe[1])
    assert read_all(pipe[0]) == [(9, b"".join(parts))]


def test_many_large_parts_are_one_frame():
    reader, writer = os.pipe()
    parts, got = [bytes([at % 256]) * 100 for at in range(3000)], []
    thread = threading.Thread(target=lambda: got.extend(read_all(reader)))
    thread.start()
    FrameWriter(writer).write(9, parts)
    os.close(writer)
    thread.join()
    os.close(reader)
    assert got == [(9, b"".join(parts))]


@pytest.mark.parametrize("size", [10, BIG])
def test_a_reader_that_is_gone_is_said(pipe, size):
    os.close(pipe[0])
    with pytest.raises(BrokenPipeError):
        FrameWriter(pipe[1]).write(1, (bytes(size),))
