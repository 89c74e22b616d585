"""Chunk sizes by measured cost. No clocks: times are handed in.

The rule is factoring (FAC2: Hummel, Schonberg, Flynn, CACM 35(8) 1992): half of what remains is
dealt out evenly over the lanes, then half of the rest, and so on in rounds, so that chunks shrink
towards the end and lanes finish together. What a pool of Python processes adds to it:

* nothing is known at first, so the first chunks are single items and grow with the evidence;
* the parent serves all lanes one after the other, so chunks are never so small in *time* that it
  could not keep up, however many lanes there are;
* costs drift, so the recent and the overall mean are both kept and the larger one counts;
* no prediction is trusted to the end: while others are idle, a lane gives back what it has not
  begun. That repairs what sizing alone cannot (costs that rise or fall at once).
"""

from __future__ import annotations

from poolwise.record import record


@record
class ChunkLimits:
    """Bounds of a chunk. Times are estimates of the cost of the chunk to its lane.

    :param least_ns: a chunk shorter than this is mostly overhead for its lane.
    :param most_ns: a longer one is too coarse to balance, to cancel, to lose in a crash.
    :param stream_ns: the longest when nobody knows how many items there are. A parent that is
        busy with Python code of its own needs some 20 ms to take an answer and send a chunk: each
        system call costs it a wait for the GIL (``benchmarks/busy_parent``).
    :param parent_ns: what a chunk costs the parent: pickle, write, read, unpickle, decide.
    :param parent_share: the part of its time that the parent may spend so.
    :param most_bytes: the longest message; longer ones gain nothing and hold up others.
    :param growth: a chunk has at most so many times the items of which the cost is known; and to
        be kept from being short, it may take more than its ``share`` only if all lanes together
        then get no more than that.
    :param share: a chunk takes at most one in ``share`` parts of what is left for each lane.
    :param ahead_ns: a lane is given its next chunk when what it holds lasts no longer than this.
    :param stream_ahead_ns: the same of a stream, whose reader does other things meanwhile.
    """

    least_ns: int = 600_000
    most_ns: int = 100_000_000
    stream_ns: int = 40_000_000
    parent_ns: int = 70_000
    parent_share: float = 0.5
    most_bytes: int = 1 << 20
    growth: int = 4
    share: float = 2.0
    ahead_ns: int = 1_000_000
    stream_ahead_ns: int = 20_000_000


DEFAULT_LIMITS = ChunkLimits()

_RECENT = 0.75
"""Weight that what was known keeps when a chunk comes back; found by no benchmark."""

_WORTH_SHARING_NS = 10_000_000
"""Asking a lane for its rest costs a message each way; less work than this is not worth it."""


class ChunkSizer:
    """Sizes of the chunks of one job.

    :param lanes: how many lanes work on it.
    :param unit: sizes are multiples of this (an explicit chunksize), except the last.
    :param is_stream: the caller reads the values one by one, and does other things meanwhile.
    """

    __slots__ = ("_deals", "_even", "_is_stream", "_items", "_lanes", "_limits", "_nbytes", "_ns",
                 "_recent_items", "_recent_ns", "_remaining", "_unit", "item_bytes",
                 "item_ns")  # fmt: skip

    def __init__(
        self,
        lanes: int,
        *,
        unit: int = 1,
        limits: ChunkLimits = DEFAULT_LIMITS,
        is_stream: bool = False,
    ) -> None:
        self._unit = unit
        self._is_stream = is_stream
        self._lanes = lanes
        self._limits = limits  # read anew each time: a back end may learn what its messages cost
        self._items = self._ns = self._nbytes = 0
        self._recent_items = self._recent_ns = 0.0
        self._even = 0.0
        self._deals = self._remaining = 0
        self.item_ns: float | None = None
        self.item_bytes = 0.0

    def observe(self, items: int, run_ns: int, *, parent_ns: int = 0, nbytes: int = 0) -> None:
        """A chunk, or a part of one, has come back."""
        self._items += items
        self._ns += run_ns
        self._nbytes += nbytes
        self._recent_items = self._recent_items * _RECENT + items
        self._recent_ns = self._recent_ns * _RECENT + run_ns
        self.item_ns = max(self._ns / self._items, self._recent_ns / self._recent_items, 1.0)
        self.item_bytes = self._nbytes / self._items

    def size(self, remaining: int | None, lanes: int) -> int:
        """Number of items of the next chunk."""
        item_ns, limits = self.item_ns, self._limits
        if item_ns is None:
            return self._unit
        most = min(limits.growth * self._items, limits.most_ns / item_ns)
        if self.item_bytes:
            most = min(most, limits.most_bytes / self.item_bytes)
        if remaining is None:
            size = limits.stream_ns / item_ns
        else:
            even = self._even_share(remaining, lanes)
            trusted = limits.growth * self._items / lanes
            floor_ns = max(limits.least_ns, self._lanes * limits.parent_ns / limits.parent_share)
            size = max(even / limits.share, min(floor_ns / item_ns, even, trusted))
        size = min(size, most)
        units = -(-size // self._unit)
        return max(1, int(units)) * self._unit

    def _even_share(self, remaining: int, lanes: int) -> float:
        """Even share of one lane, now or when this round began.

        A round is one chunk for each lane. Were the share found anew for each chunk, a long tail
        of ever smaller ones would keep the parent busy. Items that come back begin a new round.
        """
        if not self._deals or remaining > self._remaining:
            self._even, self._deals = remaining / lanes, lanes
        self._deals -= 1
        self._remaining = remaining
        return self._even

    def wants_another(self, queued_items: int, elapsed_ns: int) -> bool:
        """True if a lane that holds so many items, begun so long ago, may be given a chunk more."""
        if self.item_ns is None:
            return False
        limits = self._limits
        ahead_ns = limits.stream_ahead_ns if self._is_stream else limits.ahead_ns
        return queued_items * self.item_ns - elapsed_ns <= ahead_ns


def should_give_back(running_ns: int, remaining_items: int, item_ns: float | None) -> bool:
    """True if a lane is to be asked for what it has not begun, now that others are idle."""
    if remaining_items <= 0:
        return False
    left_ns = remaining_items * (item_ns or 0.0) - running_ns
    return max(left_ns, running_ns) > _WORTH_SHARING_NS
