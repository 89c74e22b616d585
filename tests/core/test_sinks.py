"""A stream of values: its order, and how far it lets the pool run ahead of its reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwise.core.job import MAP, Function, Job, Listed
from poolwise.core.sinks import Raised, Stream
from poolwise.options import TaskRules
from tests.core.desk import work


def stream_of(items, *, lanes=2, **options):
    """A stream, and the job whose values it gets."""
    stream = Stream(**{"is_ordered": True, **options})
    job = Job(Function(work), MAP, Listed(items), stream, TaskRules(), lanes=lanes, prompt_ns=0)
    return stream, job


def take_all(job):
    """Every chunk that the job hands out now."""
    chunks = []
    while (chunk := job.take(None)) is not None:
        chunks.append(chunk)
    return chunks


def read(stream):
    """The next value, as the doors read it."""
    value = stream.ready.popleft()
    stream.count_read += 1
    return value


def read_all(stream):
    """What is there to be read now."""
    return [read(stream) for _ in range(len(stream.ready))]


@given(st.randoms(use_true_random=False), st.integers(0, 40))
def test_values_are_read_in_order_however_they_arrive(random, size):
    stream, job = stream_of(range(size), buffer_size=size or 1)
    chunks = take_all(job)
    random.shuffle(chunks)
    for chunk in chunks:
        stream.deliver(chunk, 0, list(chunk.items), {})
    assert read_all(stream) == list(range(size))


def test_an_unordered_stream_is_read_as_values_come():
    stream, job = stream_of("abc", is_ordered=False)
    for chunk in reversed(take_all(job)):
        stream.deliver(chunk, 0, list(chunk.items), {})
    assert read_all(stream) == ["c", "b", "a"]


def test_parts_of_a_chunk_stand_where_its_items_stood():
    stream, job = stream_of("abcd", buffer_size=4)
    job.sizer.observe(4, 4000)
    (chunk,) = take_all(job)[:1]
    stream.deliver(chunk, 1, ["B"], {})
    assert not stream.has_news()
    stream.deliver(chunk, 0, ["A"], {})
    assert read_all(stream) == ["A", "B"]


def test_an_error_stands_in_the_place_of_its_value():
    stream, job = stream_of("a")
    error = ValueError()
    stream.deliver(job.take(None), 0, [None], {0: error})
    (read,) = read_all(stream)
    assert type(read) is Raised
    assert read.error is error


def test_the_end_is_news():
    stream, _ = stream_of("")
    stream.end(None)
    assert stream.has_news()
    assert not stream.ready


def test_what_came_early_is_read_before_the_error_that_ended_the_job():
    stream, job = stream_of("abc")
    chunks = take_all(job)
    stream.deliver(chunks[2], 0, ["C"], {})
    error = ValueError()
    stream.end(error)
    value, raised = read_all(stream)
    assert (value, raised.error) == ("C", error)


# -- backpressure


@pytest.mark.parametrize("size", [1, 3, 10])
def test_no_more_than_the_buffer_is_handed_out_and_unread(size):
    stream, job = stream_of(range(100), buffer_size=size)
    handed = take_all(job)
    assert job.handed_out == size
    stream.deliver(handed[0], 0, list(handed[0].items), {})
    assert job.take(None) is None  # answered for, but not read
    read(stream)
    take_all(job)
    assert job.handed_out == size + 1


@pytest.mark.parametrize("size", [1, 3, 10])
def test_no_more_than_the_buffer_is_read_from_the_input(size):
    stream, job = stream_of("", buffer_size=size)
    assert stream.room_in_input(job, 0) == size
    assert stream.room_in_input(job, size) == 0
    stream.count_read += 1
    assert stream.room_in_input(job, size) == 1


@pytest.mark.parametrize("size", [1, 3, 100])
def test_whoever_waits_for_the_reader_is_told_before_all_is_read(size):
    stream, job = stream_of(range(200), buffer_size=size)
    take_all(job)
    assert 1 <= stream.tell_at <= max(1, size // 2)
    stream.told()
    assert stream.tell_at > 10**9


def test_items_of_unknown_weight_are_read_by_the_handful_and_light_ones_by_the_thousand():
    stream, job = stream_of("")
    assert stream.room_in_input(job, 0) == 16
    job.sizer.observe(1, 10**7, nbytes=100)
    assert stream.room_in_input(job, 0) == 1024
    job.sizer.observe(1, 10**7, nbytes=1 << 30)
    assert stream.room_in_input(job, 0) <= 16


def test_when_nothing_is_known_a_few_items_for_each_lane_are_looked_ahead():
    _, job = stream_of(range(1000), lanes=3)
    take_all(job)
    assert job.handed_out == 12


def test_cheap_items_are_looked_ahead_by_the_thousand_but_not_without_bound():
    _, job = stream_of(range(10**7))
    job.sizer.observe(10**6, 10**9)
    take_all(job)
    assert 10_000 <= job.handed_out <= 100_000


def test_big_values_bound_the_look_ahead_by_their_bytes():
    _, job = stream_of(range(10**6))
    job.sizer.observe(100, 100_000, nbytes=100 << 20)
    take_all(job)
    assert job.handed_out <= 64


def test_whoever_waits_for_the_end_of_all_lifts_the_bound():
    stream, job = stream_of(range(50), buffer_size=2)
    take_all(job)
    stream.lift()
    take_all(job)
    assert job.handed_out == 50


def test_a_stream_that_nobody_will_read_runs_on_and_keeps_nothing():
    stream, job = stream_of(range(50), buffer_size=2)
    first = take_all(job)
    stream.deliver(first[0], 0, list(first[0].items), {})
    stream.ignore()
    stream.deliver(first[1], 0, list(first[1].items), {})
    assert not stream.has_news()
    take_all(job)
    assert job.handed_out == 50
