"""PW021: a generator is collected into a list before the first worker gets an item."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Place, Pool, Site
from poolwise.doctor.evidence.measures import Flow
from poolwise.doctor.findings import Answer, Fact
from poolwise.doctor.rules.rule import SiteRule
from poolwise.report import figures

LEAST_SHARE = 0.1
"""Least share of the call's time, with the listing."""

MANY_ITEMS = 100_000
"""Items beyond which the list itself costs memory worth a report."""

_STREAMED_BY = {"map": "imap", "starmap": "istarmap"}


class EagerInput(SiteRule):
    """`map` reads a whole generator into a list before the first item is handed out.

    ## What it does

    Notices when the input of `map` or `starmap` has no length, and times how long collecting it
    took, while all workers were idle.

    ## Why it costs

    `Pool.map` needs the length to cut chunks, so it makes a list: all of the input is produced
    before the first worker starts, and all of it is in memory at once.

    ## Example

    ```python
    pool.map(parse, (line for line in huge_file))
    ```

    ## Use instead

    ```python
    pool.imap(parse, (line for line in huge_file), chunksize=1000)  # reads as it goes
    poolwise.Pool().imap(parse, huge_file)                          # no further than needed
    ```

    ## What is measured

    An input without length, and either a listing of more than 10 % of the call or more than
    100,000 items.

    ## What would prove it wrong

    With imap and the same chunk size the call takes as long and needs as much memory.
    """

    code = "PW021"
    name = "eager-input"
    explains = frozenset({"slower-than-serial", "slow-producer", "payload-args"})

    def judge(self, flow: Flow, where: Place | None, pool: Pool, seen: Evidence) -> Answer | None:
        """See whether input was collected first."""
        if not isinstance(flow, Site) or flow.input_has_length is not False:
            return None
        if flow.api not in {"map", "starmap", "map_async", "starmap_async"}:
            return None
        listing_s = flow.listing_s
        if listing_s is None:
            return None
        now_s = remedies.call_wall_s(flow, pool)
        share = listing_s / max(now_s, 1e-9)
        per_call = flow.items / max(1, flow.calls)
        if share < LEAST_SHARE and per_call < MANY_ITEMS:
            return None
        streamed = _STREAMED_BY.get(flow.api.removesuffix("_async"), "imap")
        then_s = overlapped_s(flow, pool, seen, listing_s)
        prediction = remedies.predict(flow, pool, seen, then_s, band=0.4)
        has_gain = then_s < remedies.GAIN * now_s
        chunk = max(1, min(1000, round(per_call / (16 * pool.slots))))
        text = f"{streamed}(..., chunksize={chunk}): reads the input as workers need it"
        return self.found(
            pool,
            where,
            listing_s if per_call > MANY_ITEMS else now_s - then_s,
            f"{flow.api}() turned your {flow.input_type or 'iterator'} into a list of "
            f"{words.count(per_call, 'item')} before the first worker got one",
            [
                Fact("items", per_call, words.count(per_call, "item")),
                Fact("listing_s", listing_s, f"{figures.seconds(listing_s)} to collect them"),
                Fact("share", share, f"{figures.share(share)} of the call"),
            ],
            [
                remedies.stream_input(flow, text, chunk, prediction if has_gain else None)
            ],  # memory is gained anyway
        )


def overlapped_s(site: Site, pool: Pool, seen: Evidence, listing_s: float) -> float:
    """Wall seconds if the input is read while workers work, no faster than free CPUs allow.

    The parent packs messages beside that, and unpacks results. Where other programs leave one CPU,
    reading and working take as long at once as in turn.
    """
    now_s, parent = remedies.call_wall_s(site, pool), pool.parent
    if parent is not None:
        listing_s += parent.pickle_s + parent.unpickle_s + parent.handle_s
    free_cpus = max(1.0, seen.program.cpus - (seen.program.other_cpus or 0.0))
    computing_s = measures.spent_s(site, "run_cpu", "run_queued")
    return min(now_s, max(listing_s, now_s - listing_s, (listing_s + computing_s) / free_cpus))
