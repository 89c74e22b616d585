"""PW026: a worker ended in the middle of its work."""

from __future__ import annotations

import signal
from collections.abc import Iterator

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence.features import Death, Evidence, Pool
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import PoolRule
from poolwise.report import figures


class WorkerDied(PoolRule):
    """A worker process ended without being asked to, with a task in hand.

    ## What it does

    Notices workers that end while the pool still wants them: killed by a signal, or gone with an
    exit code.

    ## Why it costs

    Its task has no answer. `multiprocessing.Pool` never notices and the program waits for ever (or
    until its timeout); `ProcessPoolExecutor` gives up all tasks that it holds. The usual causes:
    the kernel's out-of-memory killer (SIGKILL), a crash in compiled code (SIGSEGV, SIGABRT), or
    `os._exit` and `sys.exit` in a task.

    ## Example

    ```python
    results = [pool.apply_async(load, (table,)) for table in tables]
    rows = [result.get() for result in results]     # one worker is killed: waits for ever
    ```

    ## Use instead

    ```python
    with poolwise.Pool() as pool:                   # WorkerDied for that one task, with signal,
        rows = pool.map(load, tables)               # item and likely cause; the others go on
    ```

    ## What is measured

    Processes of the pool that ended before it was closed, other than after their limit of tasks.
    At stake is the time from the first such end on. Of a program that was interrupted, which ends
    its workers too, only those that died before.

    ## What would prove it wrong

    The program ended the worker itself, on purpose.
    """

    code = "PW026"
    name = "worker-died"
    kind = "wrong"
    is_always_said = True
    explains = frozenset(
        {
            "startup", "serial-parent", "imbalance-chunks", "imbalance-item", "not-worth-a-pool",
            "slower-than-serial", "io-bound", "hand-made-pool", "call-never-ended",
            "mixed-cpu-io", "lock-serialised", "serial-submission",
        }
    )  # fmt: skip

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Look for workers that ended early."""
        if pool.is_threads:
            return None
        deaths = list(_before_the_end(pool, seen))
        if not deaths:
            return None
        first = min(deaths, key=lambda death: death.at_s)
        end_s = pool.created_s + pool.region_s + pool.teardown_s
        how = "how is not known" if first.exit_code is None else words.ending(first.exit_code)
        facts = [
            Fact("deaths", len(deaths), words.count(len(deaths), "worker") + " died"),
            Fact("exit_code", first.exit_code or 0, how),
            Fact("at_s", first.at_s, f"the first {figures.seconds(first.at_s)} after the start"),
        ]
        if first.running_s is not None:
            text = f"{figures.seconds(first.running_s)} into a task"
            facts.append(Fact("running_s", first.running_s, text))
        if first.error is not None:
            facts.append(Fact("error", first.error, f"it raised {first.error}"))
        facts += _standing(pool, seen)
        return self.found(
            pool,
            pool.sites[0].place if len(pool.sites) == 1 else pool.place,
            max(0.0, end_s - first.at_s),
            f"{words.count(len(deaths), 'worker')} died{_when(first, len(deaths))} ({how})",
            facts,
            list(_remedies(first, pool)),
        )


BEFORE_S = 0.2
"""A worker that died nearer than this to the signal that ended the program was ended by it."""


def _before_the_end(pool: Pool, seen: Evidence) -> Iterator[Death]:
    """Deaths of workers before anybody wanted the program to end."""
    stopped_s = seen.program.stopped_s
    if stopped_s is not None:
        yield from (death for death in pool.deaths if death.at_s < stopped_s - BEFORE_S)
    elif not seen.program.is_interrupted:
        yield from pool.deaths
    else:  # when is not known: only what no interrupt does, to die at the start again and again
        early = [death for death in pool.deaths if not death.was_ready]
        yield from (early if len(early) > 2 * pool.slots else [])


def _standing(pool: Pool, seen: Evidence) -> Iterator[Fact]:
    """Facts of the call that waits for the dead worker."""
    still = seen.standstill
    if still is not None and still.pool == pool.id:
        call = f"{still.api} at {still.place}" if still.place else still.api
        text = f"{call} never came to its end: no task ended for {figures.seconds(still.lasted_s)}"
        yield Fact("lasted_s", still.lasted_s, text)
        for index, sentence in enumerate(still.told):
            yield Fact(f"told_{index}", sentence, sentence)


def _remedies(death: Death, pool: Pool) -> Iterator[Remedy]:
    yield Remedy("code", advice(death))
    if death.was_ready:
        yield from remedies.use_poolwise(pool, "which says which task it was and does the others")


def _when(death: Death, deaths: int) -> str:
    if not death.was_ready:
        return f" before {'it was' if deaths == 1 else 'they were'} ready"
    return " in the middle of a task" if death.running_s is not None else ""


def advice(death: Death) -> str:
    """Advice on where to look, by how it ended."""
    if death.error is not None and not death.was_ready:
        return f"mend the initializer, which raised {death.error}: its workers can do no task"
    if death.error is not None:
        return f"let the task raise an Exception: {death.error} ends the worker, not the task"
    if death.exit_code == -signal.SIGKILL:
        return "see whether memory ran out (dmesg, the container's limit): SIGKILL often means that"
    if death.exit_code is not None and death.exit_code < 0:
        return "run with PYTHONFAULTHANDLER=1 to see where compiled code crashed"
    if death.exit_code == 1 and death.running_s is None:
        return (
            "put what starts processes below `if __name__ == '__main__':` if it is not there: a "
            "worker that imports such a main module ends so. Else see its traceback on stderr"
        )
    return "look for os._exit or sys.exit in the task"
