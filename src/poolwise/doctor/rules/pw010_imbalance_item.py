"""PW010: one long item at the end, and everybody waits for it."""

from __future__ import annotations

from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.balance import weigh
from poolwise.doctor.rules.rule import PoolRule
from poolwise.report import figures


class ImbalanceItem(PoolRule):
    """One item takes so long that the other workers are idle while it ends.

    ## What it does

    Looks at the end of the work: how long workers were idle while others still worked, and whether
    a single long item explains it.

    ## Why it costs

    A pool is done when its last item is. If the longest item begins last, all other workers stand
    still for as long as it takes.

    ## Example

    ```python
    pool.map(route, [small, small, ..., small, capital])  # the capital begins when all is done
    ```

    ## Use instead

    ```python
    cities.sort(key=size, reverse=True)                   # the longest first,
    pool.map(route, cities, chunksize=1)                  # and alone
    pool.map(route_district, districts_of(capital))       # or in parts
    ```

    ## What is measured

    The idle tail: over 10 % of the usable worker time and 20 ms per worker. Then the measured item
    times are handed out again on paper: one by one in the same order, and longest first. Yes, if
    smaller chunks alone would not gain half of what could be gained, and the longest item is at
    least a fifth of the ideal time and three times the median.

    ## What would prove it wrong

    With the longest item first, the call takes as long as before.
    """

    code = "PW010"
    name = "imbalance-item"
    explains = frozenset({"imbalance-chunks"})

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Hand the items out again on paper."""
        balance = weigh(pool, seen)
        if balance is None or balance.site is None or not balance.is_one_item:
            return None
        sooner = balance.as_was_s - balance.longest_first_s
        is_cured = sooner > 0.1 * balance.as_was_s
        gain = (sooner if is_cured else balance.at_best_s) / balance.as_was_s
        now_s = remedies.call_wall_s(balance.site, pool)
        prediction = remedies.predict(balance.site, pool, seen, now_s * (1 - gain))
        first = Remedy("order", "start the longest items first, one by one", prediction)
        split = Remedy("code", "split the longest item into several")
        at = balance.site.item_times.index_of_max if balance.site.item_times else None
        which = f"item {at:,}" if at is not None else "one item"
        longest = figures.seconds(balance.longest_s)
        return self.found(
            pool,
            balance.site.place,
            now_s * gain,
            f"{which[0].upper()}{which[1:]} takes {longest} alone; "
            f"workers are idle for {figures.seconds(balance.tail_s)} each while the last ones end",
            [
                Fact("longest_s", balance.longest_s, f"longest: {longest}"),
                Fact(
                    "ideal_s", balance.ideal_s, f"ideal: {figures.seconds(balance.ideal_s)} in all"
                ),
                Fact(
                    "tail_share",
                    balance.tail_share,
                    f"{figures.share(balance.tail_share)} of the worker time idle at the end",
                ),
            ],
            [first, split] if is_cured else [split, first],
        )
