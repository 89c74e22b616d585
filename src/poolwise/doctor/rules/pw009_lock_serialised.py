"""PW009: workers take turns at a lock."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import PoolRule
from poolwise.report import figures

LEAST_BLOCKED = 0.2
"""Share of the function's time in a lock."""

LEAST_GAIN = 0.1
"""Least share of the time with work outstanding."""


class LockSerialised(PoolRule):
    """Workers spend their time waiting for a lock that one of them holds.

    ## What it does

    Looks at what blocked tasks wait for. A wait in a lock (a futex, in the kernel's words) is told
    from waiting for network, disk or a timer by sampling the kernel's own answer, from outside.

    ## Why it costs

    What a lock protects is done by one worker at a time. If most of a task is inside, ten workers
    are as fast as one, and slower by the hand-overs. It looks like I/O: little CPU, much waiting.

    ## Example

    ```python
    def append(entry):
        with guard:                     # all of the work is inside
            row = render(entry)
            file.write(row)
    ```

    ## Use instead

    ```python
    def append(entry):
        row = render(entry)             # compute outside,
        with guard:                     # hold the lock for a moment
            file.write(row)

    # or return the row and let the parent write: it needs no lock
    for row in pool.imap(render, entries):
        file.write(row)
    ```

    ## What is measured

    Locks explain most of the blocked time and at least 20 % of the function's time, and tasks that
    are not in the lock keep fewer CPUs busy than are there. Threads that take turns at the
    interpreter's own lock are PW016.

    ## What would prove it wrong

    With the lock taken away (if only for a test) the call takes as long as before.
    """

    code = "PW009"
    name = "lock-serialised"
    explains = frozenset({"io-bound", "mixed-cpu-io", "imbalance-chunks", "slower-than-serial"})

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """See whether lock waits leave CPUs idle."""
        if pool.slots < 2 or measures.inner_pools(pool, seen):
            return None
        if (pool.is_threads and pool.cores_used > 0.5) or measures.waits_for_helpers(pool, seen):
            return None  # threads get on; or those of a native library wait for each other
        blocked_s = measures.spent_s(pool, "run_blocked")
        if blocked_s < LEAST_BLOCKED * pool.work_s or pool.work_s < 0.3 * measures.usable_s(pool):
            return None
        lock = measures.blocked_by_share(pool, "lock")
        if lock is None:
            return self._unseen(pool, blocked_s)
        lock_s = lock * blocked_s
        if not measures.is_behind_a_lock(pool) or lock_s < LEAST_BLOCKED * pool.work_s:
            return None
        return self._turns(pool, seen, lock_s)

    def _turns(self, pool: Pool, seen: Evidence, lock_s: float) -> Answer | None:
        # Without what workers waited for a CPU: a waiter that is woken while others hold the CPUs
        # counts as ready to run, although all it will do is to try the lock again.
        calm_s = measures.undisturbed_s(pool)
        at_once = (pool.work_s - lock_s) / max(calm_s, 1e-9)
        possible = pool.slots if pool.is_threads else measures.cpus_for(pool, seen)
        spread_s = (pool.work_s - lock_s) / possible
        seconds = calm_s - spread_s
        if at_once > 0.75 * possible or seconds < LEAST_GAIN * pool.active_s:
            return None
        share = lock_s / pool.work_s
        prediction = remedies.predict(pool, pool, seen, spread_s, band=0.5)
        text = "hold the lock only for what needs it, or return values and let the parent do that"
        return self.found(
            pool,
            pool.sites[0].place if len(pool.sites) == 1 else pool.place,
            seconds,
            f"Workers take turns: {figures.share(share)} of your function's time is waiting for a "
            f"lock, and {at_once:.1f} of {words.count(pool.slots, 'worker')} get on at a time",
            [
                Fact("lock_s", lock_s, f"{figures.seconds(lock_s)} in locks"),
                Fact("at_once", at_once, f"{at_once:.2f} workers get on at a time"),
                Fact("samples", pool.samples, words.count(pool.samples, "sample")),
            ],
            [Remedy("code", text, prediction)],
        )

    def _unseen(self, pool: Pool, blocked_s: float) -> Answer | None:
        if not 0.6 < pool.cores_used < 1.25 or blocked_s < 0.5 * pool.work_s:
            return None
        why = (
            "the function is blocked much of its time and all workers together use about one CPU, "
            "but what they wait for could not be seen (no rights to read /proc/PID/wchan, or too "
            "short): a lock, or I/O"
        )
        return self.cannot_tell(pool.place, why, 0.5 * blocked_s / pool.slots)
