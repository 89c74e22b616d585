"""PW022: workers talk to a manager's process all the time."""

from __future__ import annotations

from collections.abc import Iterator

from poolwise.doctor import words
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Proxy
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.notes import is_busy
from poolwise.doctor.rules.rule import Rule
from poolwise.report import figures

LEAST_SHARE = 0.15
"""Least share of the time inside functions, in calls to proxies."""

LEAST_SHARE_BUSY = 0.3
"""Least share beside other programs, where a call also waits for the manager to get a CPU."""

LEAST_CALLS = 20


class ManagerProxy(Rule):
    """Tasks spend their time in calls to objects that live in a manager's process.

    ## What it does

    Counts the calls through `multiprocessing.Manager` proxies, and times how long they take inside
    tasks.

    ## Why it costs

    `shared[key] += 1` on a manager's dict is two messages to another process and two back: about
    0.1 ms, for what a plain dict does in 0.1 us. The manager answers everybody from one
    interpreter, one at a time, so that workers queue for it.

    ## Example

    ```python
    def count(tally, document):
        for word in document:
            tally[word] = tally.get(word, 0) + 1   # two round trips for a word
    ```

    ## Use instead

    ```python
    def count(document):
        return Counter(document)                   # return what you found,

    for counts in pool.imap_unordered(count, documents):
        tally.update(counts)                       # and let the parent add it up
    ```

    For numbers that all must see while they run: `multiprocessing.Value` or `Array`; for data that
    does not change: `poolwise.share`.

    ## What is measured

    Time in proxy calls inside tasks, over 15 % of the time inside functions.

    ## What would prove it wrong

    With an ordinary dict or list in its place (if only for a test) the call takes as long.
    """

    code = "PW022"
    name = "manager-proxy"
    explains = frozenset(
        {
            "io-bound", "mixed-cpu-io", "lock-serialised", "tasks-too-small", "imbalance-chunks",
            "slower-than-serial", "oversubscribed-processes", "hand-made-pool", "serial-parent",
        }
    )  # fmt: skip

    def examine(self, seen: Evidence) -> Iterator[Answer]:
        """Add up the calls of all proxies."""
        calls = sum(proxy.calls for proxy in seen.proxies)
        inside_s = sum(proxy.inside_tasks_s for proxy in seen.proxies)
        pools = list(measures.process_pools(seen))
        work_s = sum(pool.work_s for pool in pools)
        queued_s = sum(measures.spent_s(pool, "run_queued") for pool in pools)
        inside_s *= work_s / max(work_s + queued_s, 1e-9)  # calls waited for a CPU as all else did
        least = LEAST_SHARE_BUSY if is_busy(seen) else LEAST_SHARE
        if calls < LEAST_CALLS or inside_s < least * work_s or not pools:
            return
        slots = max(pool.slots for pool in pools)
        most = max(seen.proxies, key=lambda proxy: proxy.inside_tasks_s)
        each_s = inside_s / calls
        share = inside_s / max(work_s, 1e-9)
        text = "collect in the task, return it, and add up in the parent"
        yield self.found(
            max(pools, key=lambda pool: pool.work_s),
            most.place or pools[0].place,
            inside_s / slots,
            f"Tasks spend {figures.share(share)} of their time in {words.count(calls, 'call')} to "
            f"a manager's process, {figures.seconds(each_s)} each",
            [
                Fact("calls", calls, words.count(calls, "call")),
                Fact("each_s", each_s, f"{figures.seconds(each_s)} a call"),
                Fact("most", f"{most.type}.{most.method}", self._most(most)),
            ],
            [Remedy("code", text)],
        )

    def _most(self, proxy: Proxy) -> str:
        return f"most in {proxy.type}.{proxy.method}: {figures.seconds(proxy.inside_tasks_s)}"
