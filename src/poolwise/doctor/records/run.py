"""Records of one observed run by kind, as its directory holds them. Times are nanoseconds."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

SAMPLE_INTERVAL_S = 0.02
"""Time between the first samples of all threads; 1 to 3 % of a CPU for 20 to 80 threads
(`benchmarks/doctor_cost.py`)."""


class Task(NamedTuple):
    """A message as the worker process saw it. Times are nanoseconds of the shared clock.

    `get`: the worker asked; `lock`: it may read; `header`: a message is there; `payload`: read;
    `loaded`: unpickled; `began` .. `ended`: the user's function; `pickling` (begins), `wanted` and
    `got` (the lock of the result pipe), `sent`: the result. Counters are -1 where not read.
    `queued`: without a CPU in the function; `queued_before`: since the task before.
    """

    pid: int
    job: int
    position: int
    items: int
    number: int
    get: int
    lock: int
    header: int
    payload: int
    loaded: int
    began: int
    ended: int
    pickling: int
    wanted: int
    got: int
    sent: int
    result_bytes: int
    message_bytes: int
    cpu: int
    process_cpu: int
    queued: int
    switches: int
    queued_before: int
    process_cpu_at_end: int


class Send(NamedTuple):
    """A message as the thread that handed it out saw it.

    `free`: through with the one before (0: that was not recorded); `taken`, `pickled`, `sent`.
    """

    pid: int
    pool: int
    job: int
    position: int
    items: int
    number: int
    free: int
    taken: int
    pickled: int
    sent: int
    size: int
    cpu: int
    submitted: int
    site: int
    call: int


class Result(NamedTuple):
    """A result as the thread that collected it saw it."""

    pid: int
    pool: int
    job: int
    position: int
    items: int
    number: int
    waiting: int
    header: int
    payload: int
    loaded: int
    size: int
    cpu: int
    reading: int
    handled: int


class Call(NamedTuple):
    """One call that gave work: `items` and `listing` (ns of making a list) are -1 if unknown."""

    pid: int
    pool: int
    job: int
    site: int
    began: int
    ended: int
    items: int
    chunksize: int
    asked: int
    listing: int


class ThreadTask(NamedTuple):
    """A task as a worker thread saw it."""

    pid: int
    pool: int
    job: int
    position: int
    items: int
    number: int
    get: int
    began: int
    ended: int
    submitted: int
    cpu: int
    process_cpu: int
    queued: int
    switches: int
    queued_before: int
    thread: int
    site: int
    call: int


class Beat(NamedTuple):
    """The number of messages a probe had seen at a time, those in the dark included.

    `pool` and `probe` (SEND, RESULT, THREAD) are 0 in a worker process; `thread` where it is one.
    `opened_index` and `opened_at`: the message that a worker process began last.
    """

    pid: int
    seen: int
    at: int
    pool: int
    probe: int
    thread: int
    opened_index: int
    opened_at: int


class Life(NamedTuple):
    """A process of multiprocessing: when it began its target, when its worker loop, and hashes.

    The hashes are of the states of `random` and `numpy.random` at the first task, and after it.
    """

    pid: int
    booted: int
    ready: int
    random_before: int
    random_after: int
    numpy_before: int
    numpy_after: int


class Meter(NamedTuple):
    """Calls that one thread made from one line to a queue, pipe or proxy. Times in nanoseconds.

    `inside`: of the time, that spent while a task ran.
    """

    pid: int
    number: int
    calls: int
    wait: int
    move: int
    size: int
    inside: int


class ItemTimes(NamedTuple):
    """Durations of consecutive items of one message, `step` items each; `spans` in all."""

    pid: int
    job: int
    position: int
    first: int
    step: int
    spans: int
    times: tuple[int, ...]


class Sample(NamedTuple):
    """The state of one thread when the launcher looked."""

    at: int
    state: str
    channel: str
    cpu_ticks: int


@dataclass
class Run:
    """Records of one directory, by kind."""

    launch: dict[str, Any]
    events: dict[str, list[dict[str, Any]]]
    tasks: dict[int, list[Task]] = field(default_factory=lambda: defaultdict(list))
    sends: dict[int, list[Send]] = field(default_factory=lambda: defaultdict(list))
    results: dict[int, list[Result]] = field(default_factory=lambda: defaultdict(list))
    thread_tasks: dict[int, list[ThreadTask]] = field(default_factory=lambda: defaultdict(list))
    calls: dict[int, list[Call]] = field(default_factory=lambda: defaultdict(list))
    beats: list[Beat] = field(default_factory=list)
    lives: dict[int, Life] = field(default_factory=dict)
    last_gets: dict[int, tuple[int, int]] = field(default_factory=dict)
    items: dict[tuple[int, int, int], list[ItemTimes]] = field(
        default_factory=lambda: defaultdict(list)
    )
    meters: list[Meter] = field(default_factory=list)
    sampling_ns: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    births: dict[int, int] = field(default_factory=dict)
    samples: dict[int, dict[int, list[Sample]]] = field(default_factory=dict)
    stacks: list[str] = field(default_factory=list)
    slots: int = 0

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of a kind, in order of time."""
        return self.events.get(kind, [])
