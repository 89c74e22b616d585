"""The book is told what happens, and accounts for it: made-up readings, no processes."""

from __future__ import annotations

import time
from functools import partial
from types import SimpleNamespace

import pytest

from poolwise.account import book as b
from poolwise.account import statement
from poolwise.account.statement import make_report
from poolwise.account.states import WORKER_ENTRIES
from poolwise.core import contract as c
from poolwise.core.job import CALLS, MAP, Chunk, Function, Job, Listed, Submitted, name_of
from poolwise.errors import Death
from poolwise.options import TaskRules
from poolwise.worker.stopwatch import Stopwatch

MS = 1_000_000
STATES = ("wait", "receive", "unpickle", "run", "pickle", "send")


def make_job(items=range(1000)):
    return Job(Function(len), MAP, Listed(items), None, TaskRules(), lanes=1, prompt_ns=0)


def ready(book, lane=1):
    """A lane that became ready at once; when it did."""
    now_ns = time.perf_counter_ns()
    book.lane_started(lane, now_ns)
    ready = c.LaneReady(lane, f"worker-{lane}", 10 + lane, now_ns, now_ns, now_ns)
    book.lane_ready(ready, now_ns)
    return now_ns


def reading(at_ns, cpu_ns=0, queued_ns=0, wait_queued_ns=0, **spent_ns):
    return (
        at_ns,
        *(spent_ns.get(state, 0) for state in STATES),
        cpu_ns,
        queued_ns,
        wait_queued_ns,
    )


def answer(book, at_ns, job=None, lane=1, count=1, times=None, **spent):
    chunk = Chunk(job or make_job(), 0, range(count))
    run_ns = spent.get("run", 0)
    outcome = c.Outcome(0, list(range(count)), {}, nbytes=7, times=times, run_ns=run_ns)
    outcome.reading = reading(at_ns, **spent)
    book.chunk_done(lane, chunk, outcome)


def test_single_calls_keep_their_name_when_a_chunk_is_answered_in_parts():
    """The first ones forget what they called as soon as they are answered."""
    job = Job(Function(len), CALLS, Submitted(), None, TaskRules(), lanes=1, prompt_ns=0)
    answered, open_one = SimpleNamespace(call=None), SimpleNamespace(call=(sorted, (), {}))
    chunk = Chunk(job, 0, [answered, open_one])
    chunk.done = 1
    assert b.Book(1).page_of(chunk, 1).function == "sorted"


def account_of(book):
    report = make_report(book, {}, version="0")
    for lane in report.lanes:
        assert sum(lane.account.values()) == pytest.approx(lane.life_s)
    return report


@pytest.mark.parametrize("state", [state for state in STATES if state not in {"wait", "run"}])
def test_what_a_worker_says_stands_under_its_name(state):
    book = b.Book(1)
    began_ns = ready(book)
    answer(book, began_ns + 50 * MS, **{state: 50 * MS})
    report = account_of(book)
    assert report.worker_account[state] == pytest.approx(0.05)
    assert state in WORKER_ENTRIES


def test_a_run_is_split_into_cpu_queued_and_blocked():
    book = b.Book(1)
    began_ns = ready(book)
    answer(book, began_ns + 50 * MS, run=50 * MS, cpu_ns=30 * MS, queued_ns=5 * MS)
    account = account_of(book).worker_account
    assert account["run_cpu"] == pytest.approx(0.03)
    assert account["run_queued"] == pytest.approx(0.005)
    assert account["run_blocked"] == pytest.approx(0.015)


def test_what_was_counted_too_much_is_put_right_by_the_next_answer():
    book = b.Book(1)
    began_ns = ready(book)
    answer(book, began_ns + 40 * MS, run=40 * MS, cpu_ns=40 * MS)
    answer(book, began_ns + 50 * MS, run=50 * MS, cpu_ns=1 * MS)
    report = account_of(book)
    assert report.worker_account["run_cpu"] == pytest.approx(0.001)
    assert report.functions[0].cpu_s == pytest.approx(0.001)


class Clock(b.ParentClock):
    """A parent whose time is told by the test."""

    __slots__ = ()

    def past(self, *stretches):
        """States and how long each took, one after the other, since the clock was made."""
        for state, ms in stretches:
            self.state = state
            self._spend_long(self.at_ns + ms * MS, ms * MS)
            self.at_ns += ms * MS


@pytest.mark.parametrize(
    ("state", "cause"),
    [
        (c.PICKLE, "parent_pickle"), (c.SEND, "parent_send"), (c.DECIDE, "parent_decide"),
        (c.RECEIVE, "parent_receive"), (c.UNPICKLE, "parent_unpickle"),
        (b.USER_CODE, "parent_user_code"), (b.WAIT, "hand_over"), (b.PRODUCE, "input_slow"),
    ],
)  # fmt: skip
def test_waiting_is_blamed_on_what_the_parent_did(state, cause):
    clock = Clock()
    clock.lacks = b.NOTHING_LACKS
    clock.past((b.WAIT, 10), (state, 30), (b.WAIT, 10))
    caused = clock.caused(clock.began_ns + 10 * MS, clock.began_ns + 40 * MS)
    assert dict(zip(b.CAUSES, caused, strict=True))[cause] == pytest.approx(30 * MS)
    assert sum(caused) == pytest.approx(30 * MS)


def test_where_nothing_is_left_to_do_the_parent_is_not_to_blame():
    clock = Clock()
    clock.lacks = b.TAIL
    clock.past((c.UNPICKLE, 20))
    caused = clock.caused(clock.began_ns, clock.began_ns + 20 * MS)
    assert caused[b.TAIL] == 20 * MS


def test_part_of_a_stretch_is_blamed_in_part():
    clock = Clock()
    clock.lacks = b.NOTHING_LACKS
    clock.past((c.PICKLE, 20), (c.SEND, 20))
    caused = clock.caused(clock.began_ns + 15 * MS, clock.began_ns + 25 * MS)
    assert caused[c.PICKLE] == caused[c.SEND] == pytest.approx(5 * MS)


def test_a_worker_that_had_a_message_and_no_cpu_did_not_wait_for_the_parent():
    book = b.Book(1)
    began_ns = ready(book)
    answer(book, began_ns + 30 * MS, wait=30 * MS, wait_queued_ns=30 * MS)
    assert account_of(book).idle["cpu_not_granted"] == pytest.approx(0.03)


def test_the_rest_since_the_last_report_has_a_cause_too(monkeypatch):
    book = b.Book(1)
    answer(book, ready(book), run=0)
    account_of(book)  # from here on nobody drives, and nothing is on the pile
    later_ns = time.perf_counter_ns() + 50 * MS
    for module in (b, statement):
        monkeypatch.setattr(module, "perf_counter_ns", lambda: later_ns)
    idle = account_of(book).idle
    assert idle["no_job"] > 0.05
    assert "unknown" not in idle


def test_clocks_that_cannot_be_compared_are_not_compared():
    book = b.Book(1)
    book.lane_started(1, 10)
    book.lane_ready(c.LaneReady(1, "elsewhere", 11, 5, 5, 5), 10)
    report = make_report(book, {}, version="0")
    assert not report.is_one_clock
    assert "cannot be compared" in report.notes[0]


def test_the_slowest_tasks_are_kept_with_their_places():
    book = b.Book(1)
    began_ns = ready(book)
    histogram = {b.step_of(1000): 99, b.step_of(9 * MS): 1}
    times = (41, 9 * MS, began_ns + 9 * MS, histogram)
    answer(book, began_ns + 10 * MS, count=100, times=times, run=10 * MS)
    report = account_of(book)
    assert report.slowest[0].item == 41
    assert report.slowest[0].run_s == pytest.approx(0.009)
    assert report.task_times.count == 100


def test_memory_does_not_grow_with_the_life_of_a_pool():
    book = b.Book(1)
    for lane in range(1, 300):
        began_ns = ready(book, lane)
        for n in range(1, 21):
            answer(book, began_ns + n * MS, lane=lane, run=n * MS, cpu_ns=n)
        book.lane_ended(c.LaneDied(lane, Death(None, 0)), time.perf_counter_ns())
    report = make_report(book, {}, version="0")
    assert len(book.ended_lanes) <= b._ENDED_LANES
    assert len(book.spans) <= b._NEWEST_CHUNKS
    assert sum(lane.lanes for lane in report.lanes) == 299
    assert report.items == 299 * 20
    assert report.spans_left_out == 299 * 20 - len(report.spans)


def test_short_answers_in_a_row_share_a_span_and_lose_nothing():
    book = b.Book(1)
    began_ns = ready(book)
    for n in range(1, 11):
        answer(book, began_ns + n * 20_000, run=n * 10_000, pickle=n * 5_000, cpu_ns=n * 10_000)
    report = account_of(book)
    (span,) = report.spans
    assert (span.items, report.items, report.chunks, report.bytes_in) == (10, 10, 10, 70)
    assert report.worker_account["run_cpu"] == pytest.approx(100e-6)
    assert report.worker_account["pickle"] == pytest.approx(50e-6)
    assert report.task_times.count == 10


def test_history_is_bounded():
    clock = Clock()
    clock.past(*[(c.PICKLE, 1), (b.WAIT, 1)] * 2 * b._HISTORY)
    assert len(clock.moments) == len(clock.vectors) <= 2 * b._HISTORY
    assert len(clock.stretches) <= b._HISTORY


def test_a_stopwatch_is_in_one_state_at_a_time():
    watch = Stopwatch(3)
    begun_ns = watch.at_ns
    for state in (1, 2, 0, 1):
        watch.to(state)
    assert sum(watch.totals) == watch.at_ns - begun_ns
    assert sum(watch.totals_at(watch.at_ns + 5)) == watch.at_ns + 5 - begun_ns


def test_whatever_can_be_called_has_a_name():
    names = [name_of(call) for call in (len, partial(pow, 2), Proxy(), Proxy, Named(None))]
    assert names == ["len", "pow", "Proxy", "Proxy", "Named"]


class Proxy:
    """Of nothing: says so when it is asked for anything, as proxies of web frameworks do."""

    def __getattr__(self, name):
        message = f"working outside of the context: {name}"
        raise RuntimeError(message)


class Named:
    def __init__(self, name):
        self.__qualname__ = name
