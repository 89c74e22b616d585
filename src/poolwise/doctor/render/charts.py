"""One pool in charts: every state, losses, times of items, bytes, its calls, workers and parent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from poolwise.account.derive import distribute
from poolwise.account.states import STATES, Meaning
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Pool, Site
from poolwise.report import blocks as b
from poolwise.report.account import list_losses, name_parts
from poolwise.report.spans import draw_task_times

GROUPS: tuple[tuple[str, str, Meaning, tuple[str, ...]], ...] = (
    ("your function, on a CPU", "c", "work", ("run_cpu",)),
    ("your function, blocked", "b", "blocked", ("run_blocked",)),
    ("ready to run, but no CPU free", "q", "cpu_wait", ("run_queued",)),
    ("moving arguments", "a", "move_out", measures.ARGUMENTS),
    ("moving results", "r", "move_in", measures.RESULTS),
    ("handing out messages", "h", "hand_over", measures.HANDING),
    ("waiting for your iterator", "i", "input", ("input_slow",)),
    ("waiting: nothing submitted", "n", "starved", measures.NOTHING_SUBMITTED),
    ("starting and replacing workers", "s", "start", (*measures.START, "respawn")),
    ("idle at the end", "e", "tail", ("tail", *measures.END)),
    ("the doctor, and unexplained", "d", "other", ("observer", "in_flight", "unexplained")),
)
"""Groups of states for one screen: name, letter of the bar (it never changes), colour, states."""

LEAST_SHARE = 0.005
"""Groups smaller than this are put together."""


def in_groups(account: Mapping[str, float], notes: Mapping[str, str] | None = None) -> list[b.Part]:
    """An account in groups, the negligible ones in one."""
    whole_s = sum(account.values()) or 1.0
    parts = [
        b.Part(name, _sum(account, states), meaning, _note(states, notes), letter)
        for name, letter, meaning, states in GROUPS
    ]
    shown = [part for part in parts if part.value >= LEAST_SHARE * whole_s]
    rest_s = whole_s - sum(part.value for part in shown)
    return (
        [*shown, b.Part("everything else", rest_s, "other", letter="o")]
        # A rest that is smaller than this share is what sums of floats leave.
        if rest_s > 1e-06 * whole_s
        else shown
    )


def in_full(account: Mapping[str, float]) -> list[b.Part]:
    """Every state that has any time."""
    return name_parts((state, account[state]) for state in STATES if account.get(state, 0.0) > 0)


def _sum(account: Mapping[str, float], states: tuple[str, ...]) -> float:
    return sum(account.get(state, 0.0) for state in states)


def _note(states: tuple[str, ...], notes: Mapping[str, str] | None) -> str:
    return next((notes[state] for state in states if state in notes), "") if notes else ""


def draw_pool(pool: Pool, timeline: b.Timeline | None) -> Iterator[b.Block]:
    """Draw everything there is of a pool."""
    if timeline is not None and timeline.spans:
        yield timeline
    yield b.StackedBar(in_full(pool.account), "All worker time", "s", pool.worker_seconds)
    if pool.chain:
        yield list_losses(pool.worker_seconds, pool.chain, "computing")
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


def draw_parent(pool: Pool) -> b.Bars:
    """The two threads of the parent that serve a pool."""
    parent = pool.parent
    if parent is None:
        return b.Bars([], "The parent")
    handing_out = {
        "wait": parent.dispatch_idle_s,
        "produce": parent.generator_s,
        "pickle": parent.pickle_s,
        "send": parent.write_s,
    }
    collecting = {
        "wait": parent.collect_wait_s,
        "receive": parent.read_s,
        "unpickle": parent.unpickle_s,
        "user_code": parent.handle_s,
    }
    bars = [
        b.Bar("handing out", name_parts(handing_out.items())),
        b.Bar("collecting", name_parts(collecting.items())),
    ]
    return b.Bars(bars, "The parent")


def draw_site(site: Site) -> Iterator[b.Block]:
    """Times of items, their order, and the weight of arguments."""
    name = f"{site.place or ''} {site.api}({site.function.rpartition('.')[2]})".strip()
    times = distribute(site.series_s)
    if times is not None and len(set(site.series_s)) > 1:
        yield draw_task_times(times, f"{name}: seconds an item")
        yield draw_order(site, f"{name}: in the order of the input")
    if site.bytes_out > 0 and site.leaves:
        yield draw_bytes(site, f"{name}: bytes sent")


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
