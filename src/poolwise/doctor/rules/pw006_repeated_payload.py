"""PW006: the same heavy object travels with every task."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Leaf, Place, Pool
from poolwise.doctor.evidence.measures import ARGUMENTS, Flow
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import SiteRule
from poolwise.report import figures

LEAST_SHARE_OF_BYTES = 0.3
LEAST_SHARE = 0.1
"""Least share of the usable worker time; or of the call's wall time, for pickling in the parent."""

LEAST_PICKLING = 0.2


class RepeatedPayload(SiteRule):
    """Heavy object that is sent again with every message.

    ## What it does

    Compares, by value, the parts of the arguments in a sample of messages: what `partial` binds,
    the object of a bound method, the elements of an argument tuple. What is heavy and never changes
    could have been handed over once.

    ## Why it costs

    It is pickled by the parent, copied through a pipe and unpickled by a worker as many times as
    there are messages, and each worker builds the same object anew, only to drop it.

    ## Example

    ```python
    pool.map(partial(price, catalogue), orders)             # the catalogue, with every order
    pool.starmap(route, [(table, town) for town in towns])  # the table, with every town
    executor.map(model.score, samples)                      # the model, with every sample
    ```

    ## Use instead

    ```python
    poolwise.Pool().map(partial(price, catalogue), orders)  # sends what is bound once

    pool.map(partial(price, poolwise.share(catalogue)), orders)  # or put down once for all:
    # price() then begins with catalogue = catalogue.get(); a shared array needs not even that

    def keep(catalogue):                                         # or by hand:
        global CATALOGUE
        CATALOGUE = catalogue

    with Pool(initializer=keep, initargs=(catalogue,)) as pool:
        pool.map(price, orders)
    ```

    ## What is measured

    The size of each part and the number of different contents in the sampled messages. Yes, if
    parts of more than 4 KB that do not change make up 30 % of all bytes sent, and sending costs
    more than 10 % of the usable worker time, or pickling more than 20 % of the call. The item
    itself does not count: equal items are no repeated configuration.

    ## What would prove it wrong

    Handed over through an initializer, the call takes as long as before.

    Or the object does change between calls in a way that workers must see.
    """

    code = "PW006"
    name = "repeated-payload"
    explains = frozenset(
        {
            "payload-args", "slower-than-serial", "not-worth-a-pool", "tasks-too-small",
            "oversubscribed-processes", "slow-producer",
        }
    )  # fmt: skip

    def judge(self, flow: Flow, where: Place | None, pool: Pool, seen: Evidence) -> Answer | None:
        """Look for parts that are heavy and never change."""
        leaves = measures.repeated_leaves(flow)
        bytes_share = min(1.0, sum(leaf.share_of_bytes_out for leaf in leaves))
        if bytes_share < LEAST_SHARE_OF_BYTES or not self._costs(flow, pool):
            return None
        cost_s = measures.spent_s(flow, *ARGUMENTS) * bytes_share
        seconds = cost_s / pool.slots
        now_s = remedies.call_wall_s(flow, pool)
        once = remedies.predict(flow, pool, seen, max(0.0, now_s - seconds), band=0.4)
        leaf = max(leaves, key=lambda each: each.size_bytes)
        return self.found(
            pool,
            where,
            seconds,
            f"The same {leaf.parameter or leaf.name} ({leaf.type}, "
            f"{figures.size(leaf.size_bytes)}) travels in every one of "
            f"{words.count(flow.messages, 'message')}",
            self._facts(flow, leaf, bytes_share),
            [
                *self._ours(pool, leaf),
                remedies.share(flow, leaf, once),
                remedies.initialise_once(flow, pool, leaf),
                *remedies.keep_as_state(flow, pool, leaf),
            ],
        )

    def _costs(self, flow: Flow, pool: Pool) -> bool:
        """True if sending takes a good part of the workers' or the parent's time."""
        pickle_s = pool.parent.pickle_s if pool.parent else 0.0
        return (
            measures.share_s(flow, *ARGUMENTS) > LEAST_SHARE
            or pickle_s > LEAST_PICKLING * pool.active_s
        )

    def _ours(self, pool: Pool, leaf: Leaf) -> list[Remedy]:
        """Our pool sends a function with what it binds once to a worker; arguments it does not."""
        if not leaf.name.startswith(("partial", "self")):
            return []
        return remedies.use_poolwise(pool, "which sends what a function binds once")

    def _facts(self, flow: Flow, leaf: Leaf, bytes_share: float) -> list[Fact]:
        again_bytes = leaf.size_bytes * max(0, flow.messages - 1)
        share = measures.share_s(flow, *ARGUMENTS)
        distinct = f"{leaf.distinct} different in {words.count(leaf.sampled, 'sampled message')}"
        return [
            Fact("repeated_bytes", again_bytes, f"{figures.size(again_bytes)} sent again"),
            Fact("bytes_share", bytes_share, f"{figures.share(bytes_share)} of all bytes sent"),
            Fact("distinct", leaf.distinct, distinct),
            Fact("share", share, f"arguments take {figures.share(share)} of usable worker time"),
        ]
