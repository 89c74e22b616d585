"""The account of a pool as plain data: every second of every worker and of the parent has a name.

A :class:`Report` is what ``pool.report()`` returns. It holds no live object, goes through JSON and
back, and is all that a renderer may know. Times are seconds on one clock, counted from the moment
the pool was made; that clock is ``time.perf_counter_ns``, which on Linux is CLOCK_MONOTONIC and the
same in all processes. Where processes do not share it (``Report.is_one_clock`` is False) durations
are right, and moments of different processes cannot be compared: idle time then has no cause.

The identity. For each worker ``ended - born = sum(account.values())``, and for the parent
``wall_s = sum(parent.values())``; what no reading explains stands in the entry "unexplained".
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from poolwise.account.plain import from_plain, to_plain

if TYPE_CHECKING:
    from typing_extensions import Self

    from poolwise.account.whatif import Forecast

SCHEMA = 2
"""Version of the files. It grows when a field changes its meaning or goes away, not when one is
added."""


@dataclass(frozen=True)
class LaneAccount:
    """One worker (or thread): its life, split into entries.

    :param ended_s: None while it lives; the account then reaches to the moment of the report.
    :param account: entry of :data:`states.WORKER_ENTRIES` -> seconds.
    :param idle: cause of :data:`states.IDLE_CAUSES` -> seconds.
    :param lanes: more than 1 where workers that ended long ago are added up in one account.
    """

    lane: int
    name: str
    pid: int | None
    born_s: float
    ready_s: float | None
    ended_s: float | None
    life_s: float
    account: dict[str, float]
    idle: dict[str, float]
    items: int = 0
    chunks: int = 0
    bytes_out: int = 0
    bytes_in: int = 0
    lanes: int = 1


@dataclass(frozen=True)
class Distribution:
    """Distribution of task times. Quantiles are read from a histogram whose steps are 9 % wide.

    :param is_exact: each item was timed by itself (``ledger="items"``); else items shorter than
        0.1 ms were timed together and count with their mean.
    :param variation: standard deviation over mean.
    :param histogram: (lower edge in seconds, upper edge, number of items), empty steps left out.
    """

    count: int
    total_s: float
    mean_s: float
    stdev_s: float
    variation: float
    p10_s: float
    p50_s: float
    p90_s: float
    p99_s: float
    max_s: float
    histogram: tuple[tuple[float, float, int], ...] = ()
    is_exact: bool = False


@dataclass(frozen=True)
class SlowTask:
    """One of the tasks that took longest.

    :param item: position in the input of its call; for single calls the number of the call.
    """

    function: str
    item: int
    run_s: float
    lane: int
    began_s: float


@dataclass(frozen=True)
class FunctionAccount:
    """All calls of one function from one line of the program.

    :param site: ``file.py:line`` of the program that made the call; None for single calls.
    :param run_s: the function itself in the workers: on CPU, blocked and queued.
    :param pickle_s: the parent, to pickle arguments; ``unpickle_s`` the parent, to rebuild results.
    :param item_cost_s: what an item costs its worker; ``chunk_overhead_s`` what a chunk costs
        besides. By least squares over chunks; None where all chunks were of one size.
    """

    function: str
    site: str | None
    jobs: int
    items: int
    chunks: int
    run_s: float
    cpu_s: float
    queued_s: float
    receive_s: float
    worker_unpickle_s: float
    worker_pickle_s: float
    pickle_s: float
    unpickle_s: float
    bytes_out: int
    bytes_in: int
    repeated_bytes: int = 0
    item_cost_s: float | None = None
    chunk_overhead_s: float | None = None
    task_times: Distribution | None = None


@dataclass(frozen=True)
class ChunkSpan:
    """One chunk in its worker: the moments at which it went from one state to the next.

    ``free_s`` the worker was free, ``arrived_s`` the first byte was there, ``received_s`` the last
    one was read, ``begun_s`` the function begins, ``ended_s`` it is through, ``pickled_s`` results
    are pickled, ``sent_s`` and written. A chunk that answers in parts has one span for each part.

    :param first: position of its first item in the input.
    :param cause: why the worker waited before it: of :data:`states.IDLE_CAUSES` what took most.
    :param site: as that of :class:`FunctionAccount`.
    """

    lane: int
    job: int
    function: str
    first: int
    items: int
    free_s: float
    arrived_s: float
    received_s: float
    begun_s: float
    ended_s: float
    pickled_s: float
    sent_s: float
    cpu_s: float
    queued_s: float
    bytes_out: int
    bytes_in: int
    cause: str
    site: str | None = None

    def states(self) -> list[tuple[str, float, float]]:
        """(entry, begin, end) in seconds, in order, empty ones left out; "run" is not split."""
        moments = (
            ("wait", self.free_s, self.arrived_s),
            ("receive", self.arrived_s, self.received_s),
            ("unpickle", self.received_s, self.begun_s),
            ("run", self.begun_s, self.ended_s),
            ("pickle", self.ended_s, self.pickled_s),
            ("send", self.pickled_s, self.sent_s),
        )
        return [moment for moment in moments if moment[2] > moment[1]]


@dataclass(frozen=True)
class ParentSpan:
    """A stretch of the parent's time in one entry of :data:`states.PARENT_ENTRIES`."""

    entry: str
    begin_s: float
    end_s: float


@dataclass(frozen=True)
class Factor:
    """One factor of the efficiency: efficiency = product of factors = 1 - sum of lost shares.

    :param value: between 0 and 1, what is left after this loss of what was left before it.
    :param lost_s: worker-seconds lost so; ``lost_share`` of all worker-seconds.
    """

    name: str
    value: float
    lost_s: float
    lost_share: float


@dataclass(frozen=True)
class Laws:
    """Speed-up of this pool, and its ceiling. None: not to be had from this run.

    :param efficiency: useful worker-seconds (function on CPU or blocked) over workers x wall.
    :param speedup: the same work in one plain loop over the wall time here; ``ceiling`` the most
        that more workers could reach.
    :param serial_fraction: part of the wall time in which the parent is busy (Amdahl).
    """

    efficiency: float
    speedup: float
    ceiling: float | None
    serial_fraction: float | None


@dataclass(frozen=True)
class Report:
    """The account of a pool from its making to its end, or until now.

    :param began_at: when the pool was made, in seconds since 1970.
    :param wall_s: from then until its end, or until this report was made.
    :param open_s: the part of it in which a call was open.
    :param workers: how many there may be at once; ``lanes`` lists those that lived, the oldest of
        many added up in one (``LaneAccount.lanes``).
    :param worker_account: entry -> seconds over all workers; ``idle`` likewise by cause.
    :param worker_seconds: all lives together.
    :param not_started_s: worker-seconds for which a place stood empty while a call was open.
    :param repeated_bytes: of ``bytes_out``, about what had been sent before: the same objects in
        several messages of 128 KiB or more (``core.repeats``). None: not looked for.
    :param throttled_s: CPU-seconds for which a quota stopped this control group (Linux).
    :param spans: the newest chunks, ``spans_left_out`` older ones were dropped.
    """

    backend: str
    workers: int
    cpus: int
    began_at: float
    wall_s: float
    open_s: float
    level: str
    is_one_clock: bool
    items: int
    chunks: int
    failed: int
    deaths: int
    retries: int
    given_back: int
    worker_seconds: float
    worker_account: dict[str, float]
    idle: dict[str, float]
    parent: dict[str, float]
    not_started_s: float
    bytes_out: int
    bytes_in: int
    repeated_bytes: int | None
    throttled_s: float | None
    lanes: tuple[LaneAccount, ...]
    functions: tuple[FunctionAccount, ...]
    task_times: Distribution | None
    slowest: tuple[SlowTask, ...]
    factors: tuple[Factor, ...]
    laws: Laws
    spans: tuple[ChunkSpan, ...] = ()
    spans_left_out: int = 0
    parent_spans: tuple[ParentSpan, ...] = ()
    notes: tuple[str, ...] = ()
    poolwise: str = ""
    schema: int = field(default=SCHEMA)

    def verdict(self) -> list[str]:
        """Plain sentences on what matters in this report, the most important first."""
        from poolwise.account.verdict import say

        return say(self)

    def predict(
        self,
        *,
        workers: int | None = None,
        chunksize: int | str | None = None,
        kind: str | None = None,
    ) -> Forecast:
        """Predicted time of this pool's calls with other settings; as it was where not given.

        :param chunksize: "auto" has chunks size themselves.
        :param kind: "processes", "threads" or "serial".
        :raises ValueError: a setting makes no sense, or the account does not say what items cost.
        """
        from poolwise.account.whatif import calibrate

        return calibrate(self).ask(workers, chunksize, kind)

    def unexplained_share(self) -> float:
        """The part of all worker-seconds that has no name."""
        return abs(self.worker_account.get("unexplained", 0.0)) / max(self.worker_seconds, 1e-9)

    def to_dict(self) -> dict[str, Any]:
        """Dicts, lists, numbers and strings."""
        return to_plain(self)

    def to_json(self, *, indent: int | None = None) -> str:
        """The report as JSON."""
        return json.dumps(to_plain(self), indent=indent)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Self:
        """The report that :meth:`to_dict` was called on.

        :raises ValueError: a later version of poolwise wrote it, or it is no report.
        """
        schema = plain.get("schema")
        if not isinstance(schema, int) or schema > SCHEMA:
            message = (
                f"this is no report that poolwise can read: its schema is {schema!r}, ours "
                f"{SCHEMA}. If a newer poolwise wrote it, update this one."
            )
            raise ValueError(message)
        try:
            return from_plain(cls, plain)
        except TypeError as error:
            message = "this is no report of a pool, or part of it is missing"
            raise ValueError(message) from error

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The report that :meth:`to_json` was called on; raises as :meth:`from_dict`."""
        return cls.from_dict(json.loads(text))
