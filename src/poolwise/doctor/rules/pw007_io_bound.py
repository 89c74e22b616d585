"""PW007: processes that mostly wait."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Place, Pool
from poolwise.doctor.evidence.measures import Flow
from poolwise.doctor.findings import Answer, Fact
from poolwise.doctor.rules.rule import SiteRule
from poolwise.report import figures

MOSTLY = 0.7
"""Blocked share of the function's time from which on it is waiting rather than computing."""

LEAST_WORK_SHARE = 0.3
"""The function must be what fills the workers' time; else waiting in it is not what costs."""

LEAST_OF_ALL = 0.1
"""Share of all worker-seconds in the function."""

SATURATED = 0.8
"""Share of the CPUs that the program uses (child programs included) beyond which more tasks at
once cannot help."""


ENOUGH_SAMPLES = 20
"""Looks at tasks, of which one in five must have found a task waiting if it waits so much."""


class IoBound(SiteRule):
    """The function mostly waits, and a process is an expensive thing to wait with.

    ## What it does

    Splits the function's time in the workers into time on a CPU, time ready to run without a CPU,
    and time blocked; and looks, from outside, at what it was blocked on: network, disk, a sleep, a
    lock, another process.

    ## Why it costs

    A process that waits does nothing for you, and a pool has one task per process under way. The
    interpreter's lock is free while a thread waits, so that one process with many threads can wait
    for hundreds of answers at once, with nothing to pickle and no worker to start.

    ## Example

    ```python
    with Pool(4) as pool:
        pages = pool.map(download, urls)  # four downloads at a time
    ```

    ## Use instead

    ```python
    with ThreadPoolExecutor(32) as pool:
        pages = list(pool.map(download, urls))
    # or asyncio, if the client library offers it
    ```

    ## What is measured

    Blocked share of the function's time: over 70 %. What is waited for is not a lock that one task
    at a time can hold (PW009), not a manager's process (PW022), not a pool inside the task; and
    the machine's CPUs are not used up, as they are where tasks wait for programs they start. Time
    without a CPU does not count as blocked, so that a busy machine does not look like I/O. Of
    threads: eight or fewer that wait, while tasks queue up for three times as long as they take.

    ## What would prove it wrong

    With four times as many tasks at once, each takes four times as long.

    Then what they wait for is itself the bottleneck: one disk, one server, one lock.
    """

    code = "PW007"
    name = "io-bound"
    explains = frozenset(
        {"mixed-cpu-io", "imbalance-chunks", "not-worth-a-pool", "slower-than-serial", "startup"}
    )

    def concerns(self, pool: Pool) -> bool:
        """Processes, which are dear for waiting; and threads, if there are few."""
        return not pool.is_threads or pool.slots <= measures.FEW_THREADS

    def judge(self, flow: Flow, where: Place | None, pool: Pool, seen: Evidence) -> Answer | None:
        """See whether the function waits, and whether more could wait at once."""
        blocked = measures.blocked_share(flow)
        if blocked < MOSTLY or not waits_for_the_world(flow, pool, seen):
            return None
        count = remedies.ENOUGH_THREADS if pool.slots < remedies.ENOUGH_THREADS else 4 * pool.slots
        if pool.is_threads:
            count = min(count, flow.items)
            if not queues_up(flow, pool) or count < 2 * pool.slots:
                return None
        now_s = remedies.call_wall_s(flow, pool)
        cpu_s = measures.spent_s(flow, "run_cpu")
        then_s = min(now_s, max(cpu_s, flow.work_s / min(count, max(1, flow.items))))
        cause = measures.main_cause(pool)
        waiter = "thread" if pool.is_threads else "process"
        prediction = remedies.predict(flow, pool, seen, then_s)
        return self.found(
            pool,
            where,
            now_s - then_s,
            f"Your function waits {figures.share(blocked)} of its time ({cause}), and only "
            f"{words.count(pool.slots, waiter)} can wait at once",
            [
                Fact("blocked_share", blocked, f"blocked {figures.share(blocked)} of its time"),
                Fact("cause", cause, f"mostly waiting for: {cause}"),
                Fact("cpu_s", cpu_s, f"{figures.seconds(cpu_s)} on a CPU in all"),
                Fact("cores_used", pool.cores_used, f"{pool.cores_used:.2f} CPUs in use"),
            ],
            [remedies.use_threads(pool, count, prediction)]
            if not pool.is_threads
            else [remedies.use_more_threads(pool, count, prediction)],
        )


def queues_up(flow: Flow, pool: Pool) -> bool:
    """True if tasks wait far longer for a thread than in it, and threads do not compute."""
    waits = getattr(flow, "queue_wait", None)
    if waits is None or pool.cores_used > MOST_CORES:
        return False
    return bool(waits.p50_s > LONG_WAIT * flow.work_s / max(1, flow.items))


MOST_CORES = 0.5
"""Threads that use more than half of a CPU between them would soon use all of one."""

LONG_WAIT = 3
"""Tasks wait in the queue for so many times their own length."""


def waits_for_the_world(flow: Flow, pool: Pool, seen: Evidence) -> bool:
    """True if blocked time fills the workers, and is neither ours to explain nor a lock's.

    Shared with PW008: a pool inside the task, child programs that use up the CPUs, and locks are
    waited for as well, and more tasks at once would not help.
    """
    if flow.work_s < LEAST_WORK_SHARE * measures.usable_s(flow):
        return False
    if pool.work_s < LEAST_OF_ALL * pool.worker_seconds:
        return False  # starting workers, or waiting for a CPU, is what takes the time
    if measures.inner_pools(pool, seen):
        return False
    if pool.samples >= ENOUGH_SAMPLES and not pool.blocked_by and seen.program.can_see_causes:
        return False  # no task was ever seen to sleep: the host took the CPU away
    used = seen.program.cpu_s / max(seen.program.wall_s, 1e-9) / max(seen.program.cpus, 1.0)
    return used < SATURATED and not measures.is_behind_a_lock(pool)
