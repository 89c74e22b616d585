"""Quantities that several rules need, each with its formula. Pure functions on evidence.

What a pool and a call site have in common is a `Flow`: messages with bytes, and an account of
worker-seconds. Seconds of workers become seconds of wall time by division by the slots: a state
that holds two of four workers for a second holds up the program by half a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Protocol

from poolwise.doctor.evidence.features import Distribution, Evidence, Leaf, Place, Pool, Site

ARGUMENTS = ("parent_pickle", "parent_send", "receive", "unpickle")
RESULTS = ("pickle", "lock", "send")
DISPATCH = ("parent_decide", "parent_receive", "parent_unpickle", "parent_user_code")
HANDING = (*DISPATCH, "hand_over", "cpu_not_granted", "loop")
NOTHING_SUBMITTED = ("no_job", "not_started", "consumer_slow", "unknown")
SUPPLY = (*NOTHING_SUBMITTED, "input_slow")
START = ("start", "import", "init")
END = ("drain", "exit")
NOT_AVAILABLE = (*START, "respawn", "run_queued", "observer", "in_flight", "unexplained")
"""Time in which a slot could not have worked, whatever the program had given it."""

BIG_MESSAGE_BYTES = 65536
"""A message beyond the capacity of a pipe (64 KiB on Linux) keeps sender and receiver both busy."""


SLOW_S = 2e-4
"""An iterator or a callback that is faster than this is not slow: tiny tasks make workers wait for
any input, and the pool itself takes some 20 us for a result."""

FEW_THREADS = 8
"""Number of threads that may be too few for waiting: the executor's own choice on a small machine
is 6. Who asks for more has thought about it, and gets a note."""

JOBLIB = "__call__"
"""The call of joblib that gives work: `Parallel(...)(tasks)`."""


class Flow(Protocol):
    """A pool, or one place in the program that gives work to it."""

    @property
    def account(self) -> dict[str, float]:
        """Worker-seconds by state."""

    @property
    def messages(self) -> int:
        """Messages sent."""

    @property
    def items(self) -> int:
        """Items in them."""

    @property
    def bytes_out(self) -> float:
        """Bytes of arguments."""

    @property
    def bytes_in(self) -> float:
        """Bytes of results."""

    @property
    def leaves(self) -> list[Leaf]:
        """Parts of the arguments."""

    @property
    def item_times(self) -> Distribution | None:
        """Seconds an item takes."""

    @property
    def work_s(self) -> float:
        """Worker-seconds inside the function."""


def spent_s(flow: Flow, *states: str) -> float:
    """Worker-seconds in these states."""
    return sum(flow.account.get(state, 0.0) for state in states)


def usable_s(flow: Flow) -> float:
    """Worker-seconds in which a slot was there and had a CPU: D = P x W - start-up - run queue."""
    usable = sum(flow.account.values()) - spent_s(flow, *NOT_AVAILABLE)
    return max(usable, 1e-9)


def share_s(flow: Flow, *states: str) -> float:
    """Share of the usable time spent in these states."""
    return spent_s(flow, *states) / usable_s(flow)


def moving_s(flow: Flow) -> float:
    """Worker-seconds that handing out, packing, sending and unpacking cost, both ways."""
    return spent_s(flow, *ARGUMENTS, *RESULTS, *HANDING)


def per_message(flow: Flow, amount: float) -> float:
    """An amount per message."""
    return amount / max(1, flow.messages)


def per_item(flow: Flow, amount: float) -> float:
    """An amount per item."""
    return amount / max(1, flow.items)


def blocked_share(flow: Flow) -> float:
    """Share of the function's own time in which it waited (for I/O, a sleep, a lock)."""
    return spent_s(flow, "run_blocked") / flow.work_s if flow.work_s else 0.0


def cpus_for(pool: Pool, seen: Evidence) -> float:
    """The number of the pool's workers that can be on a CPU at once."""
    return max(1.0, min(pool.slots, seen.program.cpus))


def parallel_work_s(pool: Pool, seen: Evidence) -> float:
    """Wall time of the function alone, spread evenly over workers that all have a CPU."""
    cpu_s, blocked_s = spent_s(pool, "run_cpu"), spent_s(pool, "run_blocked")
    return cpu_s / cpus_for(pool, seen) + blocked_s / max(1, pool.slots)


def crowded(flow: Flow) -> float:
    """The factor by which tasks took longer because they waited for a CPU.

    A remedy that is priced by work alone is beside the same load as the run, and takes as much
    longer.
    """
    return 1 + spent_s(flow, "run_queued") / flow.work_s if flow.work_s else 1.0


def undisturbed_s(pool: Pool) -> float:
    """Wall time with work outstanding, without what the workers waited for a CPU in tasks."""
    return max(0.0, pool.active_s - spent_s(pool, "run_queued") / max(1, pool.slots))


def useful_s(pool: Pool) -> float:
    """Worker-seconds inside the function that a plain loop would need as well.

    Without what tasks waited at locks: for each other, for the interpreter's lock in threads, for
    pools of their own.
    """
    return max(0.0, pool.work_s - pool.blocked_by.get("lock", 0.0))


def plain_loop_s(pool: Pool) -> float:
    """Seconds of a plain loop over the same input: the function, input and callbacks.

    An upper bound: beside others a function runs slower than alone.
    """
    return pool.work_s + own_parent_s(pool)


def own_parent_s(pool: Pool) -> float:
    """Seconds of the program's own iterator and callbacks, which a plain loop would run as well.

    What the pool itself does with input and results is not among it: stepping through a list, and
    its book-keeping of results.
    """
    if pool.parent is None:
        return 0.0
    input_s, handling_s = pool.parent.generator_s, pool.parent.handle_s
    is_slow_callback = handling_s > SLOW_S * pool.messages and not is_of_joblib(pool)
    return input_s * (input_s > STEP_S * pool.items) + handling_s * is_slow_callback


STEP_S = 5e-6
"""Limit of a step through an input that is at hand, an item, beside the pool's other
threads."""


def whole_s(pool: Pool) -> float:
    """Wall time from making the pool to its last worker gone."""
    return max(pool.region_s, pool.creation_s + pool.active_s) + pool.teardown_s


def startup_wall_s(pool: Pool) -> float:
    """Wall time that the start-up of workers held up; slots that never got one do not count."""
    return min(spent_s(pool, *START) / max(1, pool.slots), pool.startup.ready_max_s)


def own_serial_s(seen: Evidence) -> float:
    """Wall time that the program itself takes outside every pool, whatever pools there are.

    Without the start of the interpreter, the making and ending of pools, and the time in which
    its threads only waited for each other.
    """
    program = seen.program
    pools = [pool for pool in seen.pools if pool.messages]
    first = min((pool.pid for pool in pools), default=0)
    having = sum(pool.creation_s + pool.teardown_s for pool in pools if pool.pid == first)
    idle_s = (program.boot_s or 0.0) + (program.serial_idle_s or 0.0)
    return max(0.0, program.serial_s - having - idle_s)


def having_s(pool: Pool) -> float:
    """Wall seconds to make a pool, start its workers and stop them; nothing counted twice."""
    return max(pool.creation_s, startup_wall_s(pool)) + pool.teardown_s


def blocked_by_share(pool: Pool, *causes: str) -> float | None:
    """Share of the blocked time that these causes explain. None where causes were not visible."""
    known_s = sum(seconds for cause, seconds in pool.blocked_by.items() if cause != "hidden")
    if pool.samples == 0 or known_s <= 0:
        return None
    return sum(pool.blocked_by.get(cause, 0.0) for cause in causes) / known_s


def is_behind_a_lock(pool: Pool) -> bool:
    """True if locks explain most of the blocked time."""
    lock = blocked_by_share(pool, "lock")
    return lock is not None and lock > MOSTLY


MOSTLY = 0.5


def main_cause(pool: Pool) -> str:
    """The main cause of blocked time, in a word."""
    known = {cause: s for cause, s in pool.blocked_by.items() if cause not in {"hidden", "other"}}
    return max(known, key=lambda cause: known[cause]) if known else "not visible"


def is_of_joblib(pool: Pool) -> bool:
    """True if joblib hands out the tasks: what runs between two results is its own book-keeping."""
    return any(site.api == JOBLIB for site in pool.sites)


def parent_floor_s(pool: Pool) -> float:
    """Wall time that the program's own iterator and callbacks take in one thread of the parent.

    No other chunk size makes a call shorter. What is quicker than `SLOW_S` each is the pool's own
    book-keeping, which goes with the messages.
    """
    if pool.parent is None:
        return 0.0
    producing_s, handling_s = pool.parent.generator_s, pool.parent.handle_s
    is_slow_input = producing_s > SLOW_S * pool.items
    is_slow_callback = handling_s > SLOW_S * pool.messages and not is_of_joblib(pool)
    return max(producing_s * is_slow_input, handling_s * is_slow_callback)


def repeated_leaves(flow: Flow, least_bytes: float = 4096) -> list[Leaf]:
    """Parts of the arguments that are heavy and the same in nearly every message."""
    return [
        leaf
        for leaf in flow.leaves
        if leaf.is_repeated and not leaf.is_the_item and leaf.size_bytes > least_bytes
    ]


def calls_of(pool: Pool) -> list[Site] | list[Pool]:
    """The places that give work to a pool; the pool itself where they could not be seen."""
    return pool.sites or [pool]


def place_of(flow: Flow, pool: Pool) -> Place | None:
    """Place in the program: the call, else where the pool was made."""
    return getattr(flow, "place", None) or pool.place


def process_pools(seen: Evidence) -> Iterator[Pool]:
    """The pools of processes that got work."""
    return (pool for pool in seen.pools if not pool.is_threads and pool.messages)


def inner_pools(pool: Pool, seen: Evidence) -> list[Pool]:
    """Pools that this pool's own tasks made."""
    pids = {worker.pid for worker in pool.workers} - {pool.pid}
    return [other for other in seen.pools if other.pid in pids]


def helpers_s(pool: Pool, seen: Evidence) -> float:
    """CPU-seconds of native libraries' own threads while tasks of this pool ran.

    Beside threads of the program they can only be told as what is left of the process's CPU time,
    and only if such a library was loaded.
    """
    if not pool.is_threads:
        return pool.helper_cpu_s
    if not seen.program.native_threads:
        return 0.0
    known_s = sum(spent_s(each, "run_cpu") + each.helper_cpu_s for each in seen.pools)
    return max(0.0, seen.program.cpu_s - known_s - own_serial_s(seen))


def waits_for_helpers(pool: Pool, seen: Evidence) -> bool:
    """True if locks inside tasks may be those of a native library that computes in threads."""
    return helpers_s(pool, seen) > HELPING * spent_s(pool, "run_cpu") > 0


HELPING = 0.25
"""Helper threads' CPU time, as a share of the tasks' own, from which on they make tasks wait."""


def most_at_once(pool: Pool, others: Iterable[Pool]) -> int:
    """Most workers that this pool and others had while it lived: pools in turn do not add up."""
    began_s, ended_s = pool.created_s, pool.created_s + pool.region_s
    changes = []
    for other in others:
        first_s = max(began_s, other.created_s)
        last_s = min(ended_s, other.created_s + other.region_s)
        if first_s < last_s:
            changes += [(first_s, other.slots), (last_s, -other.slots)]
    levels = accumulate((change for _, change in sorted(changes)), initial=0)
    return pool.slots + max(levels)


def crowding(seen: Evidence) -> float:
    """The factor by which several processes that want a CPU are slower beside other programs."""
    others = min(seen.program.other_cpus or 0.0, seen.program.cpus)
    return (seen.program.cpus + others) / seen.program.cpus if others > BUSY_CPUS else 1.0


BUSY_CPUS = 0.25
"""CPUs that other programs used from which on they are taken out of what starting took, timings
deserve less trust, and bands are half as wide again."""


def overlaps(one: Pool, other: Pool) -> bool:
    """True if both had workers at some time."""
    ends = one.created_s + whole_s(one), other.created_s + whole_s(other)
    return one.created_s < ends[1] and other.created_s < ends[0]
