"""The chunk rules of the literature and of other pools, each as small as its formula.

Sources: Kruskal and Weiss 1985 (FSC), Polychronopoulos and Kuck 1987 (GSS), Hummel, Schonberg and
Flynn 1992 (FAC2), Hagerup 1997 (BOLD), Banicescu and Liu 2000 (AF); the last three as Korndoerfer
et al. state them (TPDS 33(4), 2022, doi 10.1109/TPDS.2021.3107775). FSC and BOLD are told the true
mean, deviation and overhead, which no pool knows.
"""

from __future__ import annotations

import heapq
import math
import statistics
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from poolwise.simulation.pool import Overheads


@dataclass(frozen=True)
class Truth:
    """What a rule may be told: the costs of the items, the number of lanes, what messages cost."""

    costs_ns: Sequence[int]
    lanes: int
    overheads: Overheads

    @property
    def chunk_ns(self) -> int:
        """What a chunk costs besides its items, over all who handle it."""
        cost = self.overheads
        return cost.send_ns + cost.receive_ns + cost.lane_ns


class Rule(Protocol):
    """Says how many items the next chunk has; is told what chunks have cost."""

    def size(self, left: int) -> float:
        """The next chunk's items, when so many are left."""

    def observe(self, items: int, run_ns: int) -> None:
        """A chunk has come back."""


class Fixed:
    """Every chunk alike."""

    def __init__(self, items: float) -> None:
        self._items = items

    def size(self, _left: int) -> float:
        return self._items

    def observe(self, items: int, run_ns: int) -> None:
        """Learns nothing."""


def one_by_one(_: Truth) -> Rule:
    return Fixed(1)


def quarter(truth: Truth) -> Rule:
    """N/(4P): multiprocessing.Pool, ray."""
    return Fixed(math.ceil(len(truth.costs_ns) / (4 * truth.lanes)))


def sixty_fourth(truth: Truth) -> Rule:
    """N/(64P): mpire."""
    return Fixed(math.ceil(len(truth.costs_ns) / (64 * truth.lanes)))


def fsc(truth: Truth) -> Rule:
    """Fixed size chunking."""
    items, lanes = len(truth.costs_ns), truth.lanes
    deviation = statistics.pstdev(truth.costs_ns)
    if not deviation:
        return Fixed(math.ceil(items / lanes))
    balance = deviation * lanes * math.sqrt(math.log(lanes))
    return Fixed((math.sqrt(2) * items * truth.chunk_ns / balance) ** (2 / 3))


class Gss(Fixed):
    """Guided self-scheduling."""

    def __init__(self, truth: Truth) -> None:
        self._lanes = truth.lanes

    def size(self, left: int) -> float:
        return math.ceil(left / self._lanes)


class Fac2(Fixed):
    """Factoring without estimates: half of what is left, dealt out in one chunk for each lane."""

    def __init__(self, truth: Truth) -> None:
        super().__init__(0)
        self._lanes = truth.lanes
        self._deals = 0

    def size(self, left: int) -> float:
        if not self._deals:
            self._deals, self._items = self._lanes, math.ceil(left / (2 * self._lanes))
        self._deals -= 1
        return self._items


class Measured(Fixed):
    """Knows the mean and the variance of what has come back."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._chunks = self._seen = self._ns = 0
        self._squares = 0.0

    def observe(self, items: int, run_ns: int) -> None:
        self._chunks += 1
        self._seen += items
        self._ns += run_ns
        self._squares += run_ns * run_ns / items

    @property
    def mean_ns(self) -> float:
        return self._ns / self._seen

    @property
    def variance(self) -> float:
        spread = self._squares - self._ns * self.mean_ns
        return max(0.0, spread / max(1, self._chunks - 1))


class Fac2InTime(Measured):
    """FAC2 with a floor that spares the parent, a cap of 100 ms, and growth by 4 from one item."""

    def size(self, left: int) -> float:
        lanes, cost = self._truth.lanes, self._truth.overheads
        if not self._seen:
            return 1
        floor_ns = max(19 * cost.lane_ns, 2 * lanes * (cost.send_ns + cost.receive_ns))
        size = max(left / (2 * lanes), floor_ns / self.mean_ns)
        return min(size, 1e8 / self.mean_ns, 4 * self._seen, math.ceil(left / lanes))


class Af(Measured):
    """Adaptive factoring."""

    def size(self, left: int) -> float:
        lanes = self._truth.lanes
        if self._chunks < lanes:
            return 1
        d, e = lanes * self.variance / self.mean_ns, self.mean_ns / lanes
        size = (d + 2 * e * left - math.sqrt(d * d + 4 * d * e * left)) / (2 * self.mean_ns)
        return min(size, len(self._truth.costs_ns) / (2 * lanes))


class Bold:
    """The rule that weighs the overhead of a chunk against the imbalance it risks."""

    def __init__(self, truth: Truth) -> None:
        mean = statistics.fmean(truth.costs_ns)
        self._lanes, self._out = truth.lanes, len(truth.costs_ns)
        self._a = 2 * (statistics.pstdev(truth.costs_ns) / mean) ** 2
        self._b = 8 * self._a * math.log(8 * self._a) if self._a > 1 / 8 else 0.0
        self._c1 = truth.chunk_ns / (mean * math.log(2))
        self._c2 = math.sqrt(2 * math.pi) * self._c1

    def observe(self, items: int, _run_ns: int) -> None:
        self._out -= items

    def size(self, left: int) -> float:
        share = left / self._lanes
        if not self._b or share <= math.e:
            return share
        v, log_share = share / (self._b + share), math.log(share)
        d = left / (1 + 1 / log_share - v)
        if d <= self._c2:
            return share
        s = self._a * math.log(d / self._c2) * (1 + self._out / (left * self._lanes))
        w = math.log(max(1.0, v * log_share)) + math.log(self._b)
        return min(share, share + s / 2 - math.sqrt(s * (share + s / 4)) + max(0.0, self._c1 * w))


class Joblib(Fixed):
    """Batches that shall last from 0.2 to 2 s, by a running mean of what they took."""

    def __init__(self, _: Truth) -> None:
        super().__init__(1)
        self._mean_s: float | None = None

    def observe(self, items: int, run_ns: int) -> None:
        if items != self._items:
            return
        run_s = run_ns / 1e9
        mean_s = run_s if self._mean_s is None else 0.8 * self._mean_s + 0.2 * run_s
        ideal = int(2 * self._items * 0.2 / mean_s) if mean_s else 2 * self._items
        self._mean_s = None
        if mean_s < 0.2:
            self._items = max(self._items, min(2 * self._items, ideal))
        elif mean_s > 2:
            self._items = max(1, ideal)
        else:
            self._mean_s = mean_s


RULES: dict[str, Callable[[Truth], Rule]] = {
    "chunksize 1": one_by_one,
    "N/(4P): mp.Pool, ray": quarter,
    "N/(64P): mpire": sixty_fourth,
    "FSC, told all": fsc,
    "GSS": Gss,
    "FAC2": Fac2,
    "AF": Af,
    "BOLD, told all": Bold,
    "joblib": Joblib,
    "FAC2 in time": Fac2InTime,
}


def makespan_of(rule: Rule, truth: Truth) -> int:
    """How long a map takes, ns: a serial parent, and one queue from which free lanes take.

    So chunks are bound late, which favours rules whose chunks shrink; there are at most two for
    each lane on their way or under work. The parent takes in an answer, then sends, in turns.
    """
    return _SharedQueue(rule, truth).run()


class _SharedQueue:
    def __init__(self, rule: Rule, truth: Truth) -> None:
        self._rule = rule
        self._truth = truth
        self._upto_ns = [0, *accumulate(truth.costs_ns)]
        self._free_ns = [0] * truth.lanes
        self._answers: list[tuple[int, int, int]] = []
        self._sent = self._answered = self._now_ns = 0

    def run(self) -> int:
        items = len(self._truth.costs_ns)
        while self._answered < items:
            if self._answers and self._answers[0][0] <= self._now_ns:
                self._receive()
            elif self._sent == items or len(self._answers) >= 2 * self._truth.lanes:
                self._now_ns = self._answers[0][0]
            if self._sent < items and len(self._answers) < 2 * self._truth.lanes:
                self._send(items - self._sent)
        return self._now_ns

    def _receive(self) -> None:
        _, items, run_ns = heapq.heappop(self._answers)
        cost = self._truth.overheads
        self._now_ns += cost.receive_ns + items * cost.item_ns // 2
        self._answered += items
        self._rule.observe(items, run_ns)

    def _send(self, left: int) -> None:
        items = min(left, max(1, int(self._rule.size(left))))
        cost = self._truth.overheads
        self._now_ns += cost.send_ns + items * cost.item_ns // 2
        run_ns = self._upto_ns[self._sent + items] - self._upto_ns[self._sent]
        begun_ns = max(heapq.heappop(self._free_ns), self._now_ns) + cost.lane_ns
        heapq.heappush(self._free_ns, begun_ns + run_ns)
        heapq.heappush(self._answers, (begun_ns + run_ns, items, run_ns + cost.lane_ns))
        self._sent += items
