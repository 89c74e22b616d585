"""A stream of values: its order, and how far it lets the pool run ahead of its reader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwise.core.job import MAP, Fed, Function, Job, Listed
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


@pytest.mark.parametrize("here", [[], [0], [0, 1], [2], [0, 2], [1, 2]])
def test_the_error_that_ends_a_job_is_read_in_the_place_of_the_first_missing_value(here):
    stream, job = stream_of("abc")
    chunks = take_all(job)
    for at in here:
        stream.deliver(chunks[at], 0, [at], {})
    stream.end(error := ValueError())
    *values, raised = read_all(stream)
    assert values == list(range(len(values)))
    assert len(values) not in here
    assert raised.error is error


def test_an_unordered_stream_gives_all_that_came_before_its_error():
    stream, job = stream_of("abc", is_ordered=False)
    stream.deliver(take_all(job)[2], 0, ["C"], {})
    stream.end(ValueError())
    assert [type(value) for value in read_all(stream)] == [str, Raised]


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
    stream, job, source = fed_stream(buffer_size=size)
    assert stream.room_in_input(job, source) == size
    source.read(iter(range(100)), size, lambda: None)
    assert stream.room_in_input(job, source) == 0
    stream.count_read += 1
    assert stream.room_in_input(job, source) == 1


def fed_stream(unit=1, **options):
    """A stream, and the job and the queue of an input that is read as it goes."""
    stream = Stream(**{"is_ordered": True, **options})
    source = Fed(unit, lambda item: (item, len(item)))
    job = Job(Function(work), MAP, source, stream, TaskRules(), lanes=2, prompt_ns=0, unit=unit)
    return stream, job, source


@pytest.mark.parametrize("size", [1, 3, 100])
def test_whoever_waits_for_the_reader_is_told_before_all_is_read(size):
    stream, job = stream_of(range(200), buffer_size=size)
    take_all(job)
    assert 1 <= stream.tell_at <= max(1, size // 2)
    stream.told()
    assert stream.tell_at > 10**9


def test_items_of_unknown_weight_are_read_by_the_handful_and_light_ones_by_the_thousand():
    stream, job, source = fed_stream()
    assert stream.room_in_input(job, source) == 16
    job.sizer.observe(1, 10**7, nbytes=100)
    assert stream.room_in_input(job, source) == 1024
    job.sizer.observe(1, 10**7, nbytes=1 << 30)
    assert stream.room_in_input(job, source) <= 16


def test_an_input_is_read_ahead_of_the_workers_and_not_of_the_reader():
    stream, job, source = fed_stream()
    source.read(iter(range(100)), 16, lambda: None)
    assert stream.room_in_input(job, source) == 0
    job.take(None)
    assert stream.room_in_input(job, source) == 1


def test_heavy_items_are_not_read_ahead_however_light_those_before_them_were():
    stream, job, source = fed_stream()
    job.sizer.observe(1000, 10**6, nbytes=1000)
    heavy = iter(lambda: b"x" * (1 << 20), None)
    while (room := stream.room_in_input(job, source)) > 0:
        source.read(heavy, room, lambda: None)
    assert 64 <= len(source.items) <= 66
    assert source.waiting_bytes == len(source.items) << 20
    while source.items:
        source.take(1)
    assert source.waiting_bytes == 0


def test_a_unit_is_read_whole_however_heavy():
    stream, job, source = fed_stream(unit=100)
    heavy = iter(lambda: b"x" * (1 << 20), None)
    while (room := stream.room_in_input(job, source)) > 0:
        source.read(heavy, room, lambda: None)
    assert len(source.items) >= 100
    assert source.has_items


def test_a_unit_is_read_whole_though_its_items_are_known_to_be_heavy():
    stream, job, source = fed_stream(unit=100)
    job.sizer.observe(100, 10**6, nbytes=100 << 20)
    heavy = iter(lambda: b"x" * (1 << 20), None)
    while (room := stream.room_in_input(job, source)) > 0:
        source.read(heavy, room, lambda: None)
    assert source.has_items


@given(st.integers(1, 60), st.integers(1, 60))
def test_whoever_waits_for_the_reader_is_told_before_nothing_is_left_to_read(unit, size):
    stream, job, source = fed_stream(unit=min(unit, size), buffer_size=size)
    inputs = iter(b"x" * 200)
    while stream.count_read < 200:
        while not source.is_ended and (room := stream.room_in_input(job, source)):
            source.read(inputs, room, lambda: None)
        stream.told()
        work_ahead(stream, job, 1)
        stream.room_in_input(job, source)
        assert stream.ready
        while stream.ready and stream.count_read < stream.tell_at:
            read(stream)
        assert source.is_ended or stream.count_read >= stream.tell_at


# -- working ahead


@pytest.mark.parametrize("is_ordered", [True, False])
def test_a_value_that_outweighs_the_bound_comes_all_the_same(is_ordered):
    stream, job = stream_of(range(10), is_ordered=is_ordered, most_bytes=1_000)
    values = []
    while len(values) < 10:
        work_ahead(stream, job, 5_000)
        assert 1 <= len(stream.ready) <= 2  # one for each lane
        values += read_all(stream)
    assert values == list(range(10))


def work_ahead(stream, job, nbytes):
    """Run all that is handed out; each value weighs so many bytes in its message."""
    while (chunk := job.take(None)) is not None:
        size = len(chunk.items)
        job.sizer.observe(size, size * 1000, nbytes=nbytes * size)
        chunk.answer_bytes = nbytes * size
        stream.deliver(chunk, 0, list(chunk.items), {})


@pytest.mark.parametrize("is_ordered", [True, False])
@pytest.mark.parametrize("nbytes", [1, 1_000, 1_000_000])
def test_unread_values_are_bounded_by_their_weight(nbytes, is_ordered):
    limit = 16 << 20
    stream, job = stream_of(range(10**7), most_bytes=limit, is_ordered=is_ordered)
    work_ahead(stream, job, nbytes)
    weight = job.handed_out * (nbytes + 64)
    assert limit / 2 < weight <= limit + 4 * (nbytes + 64)


def test_values_that_were_read_make_room_for_as_many():
    limit, nbytes = 1 << 20, 1_000
    stream, job = stream_of(range(10**6), most_bytes=limit)
    for _ in range(20):
        work_ahead(stream, job, nbytes)
        while stream.count_read < stream.tell_at:
            read(stream)
        stream.told()
    assert job.handed_out > 3 * limit / nbytes
    assert (job.handed_out - stream.count_read) * nbytes <= limit


def test_heavy_values_after_many_light_ones_are_bounded_too():
    limit = 100 << 20
    stream, job = stream_of(range(10**7), most_bytes=limit)
    work_ahead(stream, job, 10)
    read_all(stream)
    stream.told()
    before = job.handed_out
    job.sizer.observe(1, 1000, nbytes=1)
    for _ in range(10_000):
        chunk = job.take(None)
        if chunk is None:
            break
        chunk.items = chunk.items[:1]  # the average knows little of them yet
        chunk.answer_bytes = 10 << 20
        stream.deliver(chunk, 0, [0], {})
    assert job.handed_out - before < 10**6
    assert len(stream.ready) <= 12


def test_chunks_are_single_items_until_there_is_something_to_weigh():
    stream, job = stream_of(range(1000), lanes=3)
    assert len(job.take(None).items) == 1
    assert stream.room(job) is None


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
