"""PW011: chunks too coarse to share the work out evenly."""

from __future__ import annotations

import math

from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact
from poolwise.doctor.rules.balance import Balance, weigh
from poolwise.doctor.rules.rule import PoolRule
from poolwise.report import figures

LEAST_GAIN = 0.07
"""Least gain of the call, on paper, by smaller chunks."""

CHUNKS_PER_WORKER = 16
"""Aim of the remedy: a chunk is then 6 % of a worker's share."""


class ImbalanceChunks(PoolRule):
    """Chunks are so coarse that some workers are done long before the others.

    ## What it does

    Looks at the end of the work: how long workers were idle while others still worked, and whether
    smaller chunks would have spread it better.

    ## Why it costs

    A chunk is done by one worker. Where items differ in cost, or chunks are few and do not divide
    evenly among the workers, the last chunks decide, and who is done waits.

    ## Example

    ```python
    pool.map(factorise, range(100), chunksize=25)  # cost grows: the last chunk is half of it
    pool.map(prove, nine_hard_ones)                # of hand-made batches, two to a message
    ```

    ## Use instead

    ```python
    pool.map(factorise, range(100), chunksize=2)
    pool.map(process_batch, batches, chunksize=1)  # they are batches already
    poolwise.Pool().map(factorise, range(100))     # chunks shrink towards the end
    ```

    ## What is measured

    The idle tail: over 10 % of the usable worker time and 20 ms per worker; and the measured item
    times, handed out again on paper one by one in the same order. Yes, if that gains at least 7 %
    and half of what could be gained at all (else one long item is to blame: PW010).

    ## What would prove it wrong

    With the smaller chunks the call takes as long as before.
    """

    code = "PW011"
    name = "imbalance-chunks"

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Hand the items out again on paper."""
        balance = weigh(pool, seen)
        if balance is None or balance.site is None or balance.is_one_item:
            return None
        gain = 1 - balance.one_by_one_s / balance.as_was_s
        if gain < LEAST_GAIN or balance.site.chunksize <= 1:
            return None
        chunk = self._chunk(balance, pool)
        now_s = remedies.call_wall_s(balance.site, pool)
        prediction = remedies.predict(balance.site, pool, seen, now_s * (1 - gain))
        per_chunk = balance.site.chunksize
        return self.found(
            pool,
            balance.site.place,
            now_s * gain,
            f"Chunks of {per_chunk:.0f} items are too coarse: workers are idle for "
            f"{figures.seconds(balance.tail_s)} each while the last chunks end",
            [
                Fact("chunksize", per_chunk, f"{per_chunk:.0f} items in a chunk"),
                Fact(
                    "tail_share",
                    balance.tail_share,
                    f"{figures.share(balance.tail_share)} of the worker time idle at the end",
                ),
                Fact("gain", gain, f"item by item, on paper: {figures.share(gain)} sooner"),
            ],
            [
                remedies.set_chunksize(balance.site, chunk, prediction),
                *remedies.use_poolwise(pool, "whose chunks shrink towards the end"),
            ],
        )

    def _chunk(self, balance: Balance, pool: Pool) -> int:
        site = balance.site
        items = site.items / max(1, site.calls) if site else 1
        return max(1, math.floor(items / (CHUNKS_PER_WORKER * pool.slots)))
