"""Where items come from, and how they go again."""

from __future__ import annotations

import threading
from collections import deque
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from poolwise.core.job import Fed, Function, Listed, Submitted, feed
from tests.core.desk import Call, make_calls, make_job


def drain(source, size):
    """All that is there, in takes of ``size``."""
    taken = []
    while some := source.take(size):
        taken += some
    return taken


@given(st.lists(st.integers()), st.integers(1, 10))
def test_sources_hand_out_every_item_once_and_in_order(items, size):
    fed, submitted = Fed(), Submitted()
    calls = [Call() for _ in items]
    fed.items.extend(items)
    submitted.items.extend(calls)
    assert drain(Listed(items), size) == items
    assert drain(fed, size) == items
    assert drain(submitted, size) == calls


@pytest.mark.parametrize("items", [[1, 2, 3], (1, 2, 3), range(3), "abc"])
def test_a_listed_source_knows_what_is_left(items):
    source = Listed(items)
    source.take(2)
    assert (source.remaining, source.has_items, source.is_exhausted) == (1, True, False)
    source.take(2)
    assert (source.remaining, source.has_items, source.is_exhausted) == (0, False, True)


def test_a_list_that_is_stopped_while_it_is_taken_from_keeps_its_numbers():
    """A caller leaves its stream in one thread, the leader takes items in another: a race."""
    source = Listed(range(100))
    assert list(source.take(10)) == list(range(10))
    source.stop()
    assert list(source.take(10)) == []
    assert (source.remaining, source.error) == (90, None)


def test_a_fed_source_is_exhausted_only_when_it_was_ended():
    source = Fed()
    assert (source.remaining, source.is_exhausted) == (None, False)
    source.items.append(1)
    source.end()
    assert not source.is_exhausted
    source.take(1)
    assert source.is_exhausted


class Interrupting(deque):
    """A queue in which another thread strikes between any two steps of the first."""

    def __init__(self, items, strike):
        super().__init__(items)
        self._strike = strike

    def popleft(self):
        self._strike()
        return super().popleft()


def test_a_source_may_be_stopped_while_it_is_taken_from():
    source = Fed()
    source.items = Interrupting(range(9), source.stop)
    assert len(source.take(9)) <= 9
    assert source.is_exhausted
    assert not source.has_items
    assert source.take(9) == []
    assert not source.items


def test_a_call_may_be_taken_back_while_others_are_taken():
    source = Submitted()
    calls = [Call()]
    source.items = Interrupting(calls, lambda: source.take_back(calls[0]))
    assert source.take(1) == []
    source.items = Interrupting([Call(), Call()], lambda: None)
    assert not source.take_back(calls[0])


def test_an_input_that_fails_while_it_is_taken_from_costs_the_unit_begun_alone():
    source = Fed(unit=4)
    failing = threading.Thread(target=source.end, args=(ValueError(),))

    def fail():
        if not failing.is_alive() and not source.is_ended:
            failing.start()
            failing.join(0.1)  # it waits for the end of take()

    source.items = Interrupting(range(10), fail)
    assert source.take(4) == [0, 1, 2, 3]
    failing.join()
    assert source.take(9) == [4, 5, 6, 7]
    assert source.is_exhausted


def test_cancelled_calls_are_not_handed_out():
    calls = [Call(), Call(), Call()]
    calls[0].is_cancelled = calls[2].is_cancelled = True
    source = Submitted()
    source.items.extend(calls)
    assert source.take(3) == [calls[1]]


# -- feeding


def test_feeding_wakes_when_an_item_arrives_where_none_was():
    source, woken = Fed(), []
    feed(source, [1, 2, 3], lambda: woken.append(len(source.items)))
    assert woken == [1, 3]
    assert source.is_ended


def test_feeding_waits_for_room_and_goes_on_when_items_are_taken():
    source, taken = Fed(), []

    def room():
        return source.wait_for_room(lambda: 2 + len(taken) - source.count_fed)

    feeder = threading.Thread(target=feed, args=(source, iter(range(50)), lambda: None, room))
    feeder.start()
    while not source.is_exhausted:
        assert len(source.items) <= 2
        taken += source.take(1)
        source.ring()
    feeder.join()
    assert taken == list(range(50))


def test_an_endless_input_is_left_where_it_is_when_nothing_more_is_wanted():
    source, read = Fed(), count()

    def room():
        return source.wait_for_room(lambda: 3 - source.count_fed)

    feeder = threading.Thread(target=feed, args=(source, read, lambda: None, room))
    feeder.start()
    source.end()
    feeder.join(10)
    assert not feeder.is_alive()
    assert next(read) <= 3


def broken(error):
    yield 1
    raise error


def test_what_the_input_raises_is_kept_for_whoever_reads():
    source, error = Fed(), ValueError("input")
    feed(source, broken(error), lambda: None)
    assert list(source.items) == [1]
    assert source.error is error


def test_a_keyboard_interrupt_in_the_input_is_raised_as_well():
    source = Fed()
    with pytest.raises(KeyboardInterrupt):
        feed(source, broken(KeyboardInterrupt()), lambda: None)
    assert source.is_ended


# -- jobs


def test_items_that_come_back_go_before_any_others():
    job = make_job("abcdef")
    first, second = job.take(None), job.take(None)
    job.put_back(second)
    job.put_back(first)
    taken = [job.take(None) for _ in range(3)]
    assert [chunk.items for chunk in taken] == ["a", "b", "c"]
    assert [chunk.start for chunk in taken] == [0, 1, 2]
    assert job.handed_out == 3


@given(st.randoms(use_true_random=False), st.integers(0, 50))
def test_every_item_is_open_waiting_or_answered_for(random, items):
    job, held, answered = make_job(range(items)), [], []
    while not job.is_done:
        if held and random.random() < 0.5:
            chunk = held.pop(random.randrange(len(held)))
            done = random.randint(0, len(chunk.items))
            answered += chunk.items[:done]
            job.open_items -= done
            if done:
                job.sizer.observe(done, done * 1000)
            if chunk.items[done:]:
                job.put_back(chunk.part(done, len(chunk.items)))
        elif (chunk := job.take(None)) is not None:
            held.append(chunk)
        assert job.open_items == sum(len(chunk.items) for chunk in held)
        assert job.open_items + job.waiting + len(answered) == items
    assert sorted(answered) == list(range(items))


def test_what_must_travel_alone_does():
    job = make_job(range(10), unit=10)
    chunk = job.take(None)
    job.put_back(chunk.part(0, 10, is_alone=True))
    assert [len(job.take(None).items) for _ in range(10)] == [1] * 10


def test_a_dropped_job_hands_out_nothing():
    job = make_job("abc")
    job.put_back(job.take(None))
    job.drop()
    assert job.take(None) is None
    assert (job.waiting, job.has_more) == (0, False)


def test_calls_that_were_cancelled_on_their_way_are_left_out_when_they_go_again():
    calls = [Call(), Call()]
    job = make_calls(calls)
    chunks = [job.take(None), job.take(None)]
    for chunk in reversed(chunks):
        job.put_back(chunk)
    calls[0].is_cancelled = True
    assert list(job.take(None).items) == [calls[1]]
    assert job.open_items == 1


def test_tasks_are_chunks_unless_the_user_named_a_chunksize():
    assert make_job("abcde").tasks_in(make_job("abcde", unit=5).take(None)) == 1
    job = make_job("abcde", unit=2)
    assert job.tasks_in(job.take(None)) == 1
    job = make_job("abcde", unit=5)
    assert job.tasks_in(job.take(None).part(0, 3)) == 1


def test_a_function_that_carries_its_code_is_another_to_the_workers():
    function = Function(len)
    known, function.packed = function.id, b"by name"
    function.carry_code()
    assert function.by_value
    assert function.packed is None
    assert function.id != known
