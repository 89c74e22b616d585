"""One pool in charts: every state, losses, times of items, bytes, its calls, workers and parent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from poolwise.account.states import Meaning
from poolwise.doctor.features import Pool, Site
from poolwise.doctor.states import in_full
from poolwise.report import blocks as b

_CHAIN: dict[str, Meaning] = {
    "start-up": "start",
    "supply": "starved",
    "balance": "tail",
    "collection": "consumer",
    "transfer": "move_out",
    "serialisation": "pickle",
    "doctor": "other",
    "cpu availability": "cpu_wait",
    "blocking": "blocked",
}


def draw_pool(pool: Pool, timeline: b.Timeline | None) -> Iterator[b.Block]:
    """Everything there is to draw of a pool."""
    if timeline is not None and timeline.spans:
        yield timeline
    yield b.StackedBar(in_full(pool.account), "All worker time", "s", pool.worker_seconds)
    if pool.chain:
        yield draw_losses(pool)
    busy = [worker for worker in pool.workers if any(worker.account.values())]
    if len(busy) > 1:
        bars = [b.Bar(f"worker {each.pid}", in_full(each.account)) for each in busy[:32]]
        yield b.Bars(bars, "By worker")
    if pool.parent is not None:
        yield draw_parent(pool)
    for site in pool.sites:
        yield from draw_site(site)
    if len(pool.sites) > 1:
        yield list_sites(pool.sites)


def draw_losses(pool: Pool) -> b.Waterfall:
    """From all worker-seconds, factor by factor, to those that were useful."""
    losses = [
        b.Part(step.name, step.loss_s, _CHAIN.get(step.name, "other"))
        for step in pool.chain
        if step.loss_s > 0
    ]
    useful_s = pool.worker_seconds - sum(loss.value for loss in losses)
    return b.Waterfall(
        b.Part("worker-seconds", pool.worker_seconds, "other"),
        losses,
        b.Part("computing", useful_s, "work"),
        "What was lost on the way",
    )


def draw_parent(pool: Pool) -> b.Bars:
    """The two threads of the parent that serve a pool."""
    parent = pool.parent
    if parent is None:
        return b.Bars([], "The parent")
    handing_out = [
        b.Part("idle", parent.dispatch_idle_s, "absent"),
        b.Part("your iterator", parent.generator_s, "input"),
        b.Part("pickling", parent.pickle_s, "pickle"),
        b.Part("writing", parent.write_s, "move_out"),
    ]
    collecting = [
        b.Part("idle", parent.collect_wait_s, "absent"),
        b.Part("reading", parent.read_s, "move_in"),
        b.Part("unpickling", parent.unpickle_s, "unpickle"),
        b.Part("callbacks, bookkeeping", parent.handle_s, "consumer"),
    ]
    return b.Bars(
        [b.Bar("handing out", handing_out), b.Bar("collecting", collecting)], "The parent"
    )


def draw_site(site: Site) -> Iterator[b.Block]:
    """Times of items, their order, and the weight of arguments."""
    name = f"{site.place or ''} {site.api}({site.function.rpartition('.')[2]})".strip()
    if len(set(site.series_s)) > 1:
        yield draw_times(site.series_s, f"{name}: seconds an item")
        yield draw_order(site, f"{name}: in the order of the input")
    if site.bytes_out > 0 and site.leaves:
        yield draw_bytes(site, f"{name}: bytes sent")


def draw_times(times_s: Sequence[float], title: str) -> b.Histogram:
    """The distribution of item times, on a logarithmic scale if they differ much."""
    least, most = max(min(times_s), 1e-9), max(times_s)
    is_log = most > 10 * least
    bins = min(32, max(4, math.isqrt(len(times_s))))
    edges = _edges(least, max(most, least * 1.001), bins, is_log=is_log)
    counts = [0] * bins
    for time_s in times_s:
        at = sum(edge <= time_s for edge in edges[1:-1])
        counts[at] += 1
    middle = sorted(times_s)[len(times_s) // 2]
    marks = [b.Mark("median", middle), b.Mark("longest", most)]
    return b.Histogram(edges, counts, title, "s", marks, is_log)


def draw_order(site: Site, title: str) -> b.Curve:
    """The time of each item by its position in the input: sorted and heavy ends show here."""
    at = [position * site.series_step for position in range(len(site.series_s))]
    line = b.Line("item time", at, site.series_s)
    return b.Curve(b.Axis("item", "count"), b.Axis("seconds", "s"), [line], title)


def draw_bytes(site: Site, title: str) -> b.Treemap:
    """The bytes sent, by part of the arguments; what belongs to none is the rest."""
    leaves = [
        b.Leaf(
            ["repeated" if leaf.is_repeated and not leaf.is_the_item else "different each time",
             leaf.parameter or leaf.name],
            leaf.share_of_bytes_out * site.bytes_out,
            f"{leaf.type}, {leaf.distinct} different in {leaf.sampled} sampled",
        )
        for leaf in site.leaves
    ]  # fmt: skip
    rest = site.bytes_out - sum(leaf.value for leaf in leaves)
    if rest > 0:
        leaves.append(b.Leaf(["different each time", "everything else"], rest))
    return b.Treemap(leaves, title)


def list_sites(sites: Sequence[Site]) -> b.Table:
    """The places that gave work to a pool."""
    columns = [
        b.Column("called at"), b.Column("function"), b.Column("items", "count"),
        b.Column("messages", "count"), b.Column("in the function", "s"),
        b.Column("sent", "bytes"), b.Column("received", "bytes"),
    ]  # fmt: skip
    rows: list[list[b.Cell]] = [
        [f"{site.place or ''} {site.api}", site.function, site.items, site.messages, site.work_s,
         site.bytes_out, site.bytes_in]
        for site in sites
    ]  # fmt: skip
    return b.Table(columns, rows, "Calls")


def _edges(least: float, most: float, bins: int, *, is_log: bool) -> list[float]:
    if is_log:
        step = (most / least) ** (1 / bins)
        return [least * step**at for at in range(bins)] + [most]
    width = (most - least) / bins
    return [least + width * at for at in range(bins)] + [most]
