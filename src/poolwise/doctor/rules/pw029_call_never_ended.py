"""PW029: a call stood still until somebody ended the program."""

from __future__ import annotations

from collections.abc import Iterator

from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence.features import Evidence, Pool, Standstill
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.gather.standstill import CAUSES
from poolwise.doctor.rules.rule import Rule
from poolwise.report import figures


class CallNeverEnded(Rule):
    """A call never came to its end: it waited until the program was ended, or gave up.

    ## What it does

    Looks, when a program is ended by Ctrl-C, by a signal or by its own time limit, for a call with
    tasks that had not been answered and of which none had ended for long. It says since when, and
    what the workers and the program's own threads were waiting for.

    ## Why it costs

    All of the time from then on: a call that waits for what cannot come waits for ever. The usual
    reasons: a worker died with its task (`multiprocessing.Pool` does not notice); a callback or a
    result that cannot be unpickled ended the thread that collects results; an initializer that
    fails, so that workers are started again and again; a lock that was held when the process was
    forked; tasks that wait for other tasks of the same pool; a queue that nobody reads when its
    process wants to end.

    ## Example

    ```python
    def note(result):
        table[result.key] = result              # KeyError: the thread that collects results ends

    pending = pool.apply_async(work, (1,), callback=note)
    pending.get()                               # waits for ever
    ```

    ## Use instead

    ```python
    with poolwise.Pool() as pool:               # errors of callbacks and results come back as
        pending = pool.apply_async(work, (1,), callback=note)   # errors; a worker's death too
        pending.get(timeout=60)
    ```

    ## What is measured

    Messages handed out and answered; when the last task ended; stacks of all threads, taken once
    when nothing had moved for a few seconds; processes that had died by then. A call counts if
    nothing in it ended for two seconds and for ten times its longest task; if its tasks compute,
    for twenty seconds. At stake is the time from the last task's end on.

    ## What would prove it wrong

    With more time the call comes back: its tasks were only long.
    """

    code = "PW029"
    name = "call-never-ended"
    kind = "wrong"
    is_always_said = True
    explains = frozenset(
        {
            "startup", "serial-parent", "imbalance-chunks", "imbalance-item", "not-worth-a-pool",
            "slower-than-serial", "io-bound", "mixed-cpu-io", "hand-made-pool", "lock-serialised",
            "serial-submission", "gil-bound-threads",
        }
    )  # fmt: skip

    def examine(self, seen: Evidence) -> Iterator[Answer]:
        """Say which call it was, and what held it up."""
        still = seen.standstill
        if still is None:
            return
        pool = next((pool for pool in seen.pools if pool.id == still.pool), None)
        yield self.found(
            pool, still.place, still.lasted_s, say(still), list(_facts(still)),
            list(_remedies(still, pool)),
        )  # fmt: skip


def say(still: Standstill) -> str:
    """Sentence on the call, and why it hung."""
    return f"{name_of(still)} never came to its end: {_why(still)}"


def say_why(still: Standstill) -> str:
    """Sentence on why, while it lasts: "worker 3 was killed by SIGKILL (map at x.py:12)"."""
    return f"{_why(still)} ({name_of(still)})"


def name_of(still: Standstill) -> str:
    """The call, with its place."""
    return still.api if still.place is None else f"{still.api} at {still.place}"


def _why(still: Standstill) -> str:
    return still.told[0] if still.told and still.cause in _TOLD_FIRST else CAUSES[still.cause]


_TOLD_FIRST = {"worker-died", "initializer", "results-thread", "unreadable-result", "lock",
               "own-pool", "queue", "waiting"}  # fmt: skip
"""Causes whose first sentence says more than their name."""


def _facts(still: Standstill) -> Iterator[Fact]:
    lasted = figures.seconds(still.lasted_s)
    since = figures.seconds(still.since_s)
    text = f"no task ended for {lasted}, from {since} after the start"
    if still.stopped_by:
        text += f" until {_ENDED.get(still.stopped_by, still.stopped_by)}"
    yield Fact("lasted_s", still.lasted_s, text)
    if still.sent is not None and still.done is not None:
        of = f"{figures.count(still.done)} of {figures.count(still.sent)}"
        yield Fact("done", still.done, f"{of} messages had been answered")
    for index, sentence in enumerate(still.told):
        yield Fact(f"told_{index}", sentence, sentence)


_ENDED = {"SIGINT": "Ctrl-C"}


def _remedies(still: Standstill, pool: Pool | None) -> Iterator[Remedy]:
    yield Remedy("code", _ADVICE[still.cause])
    if pool and not pool.is_threads and still.cause in _OURS:
        yield from remedies.use_poolwise(pool, _OURS[still.cause])


_ADVICE = {
    "worker-died": "see why the worker died: memory (dmesg), a crash in compiled code, sys.exit "
    "or os._exit in a task",
    "initializer": "run the initializer once in the program itself: it raises, or ends its process",
    "results-thread": "let the callback catch its own errors",
    "unreadable-result": "return plain data: pickle.loads(pickle.dumps(result)) must work in the "
    "program itself (exceptions whose __init__ takes more than a message do not)",
    "lock": "make locks in the initializer or hand them over, do not hold one while a pool is made "
    "or a task is waited for; or start workers with spawn",
    "own-pool": "do not wait in a task for another task of the same pool: all workers wait then",
    "queue": "read a queue until its end before its process is joined, and send an end mark to "
    "each reader",
    "computing": "see which task it is: it is endless, or much longer than the others",
    "waiting": "give what the tasks wait for a time limit",
    "exit": "close and join pools and processes, and read queues to their end, before the program "
    "ends; or make the processes daemons",
    "unknown": "give the call a time limit: get(timeout=...), result(timeout=...)",
}

_OURS = {
    "worker-died": "which says which task it was and does the others",
    "initializer": "which raises what the initializer raised",
    "results-thread": "whose results still come after a callback raised",
    "unreadable-result": "which raises what unpickling raised, for that one task",
}
