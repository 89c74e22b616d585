"""Budget of the doctor: when a probe records in full, and when it stays dark.

Recording a message in full costs 10 to 25 us over all processes, which is as much as moving an
empty one. So each probe records its first `FULL` messages; after that, if messages come so fast
that recording all would cost more than `BUDGET` of the time between them, it records only in
windows at the start of every `PERIOD` of the shared clock. All processes agree on where windows
begin without talking, so that the same messages are seen at each step of their way.
"""

from . import recorder

now = recorder.now

FULL = 128
"""Messages seen in full before the budget counts: enough for quartiles of every step."""

ENOUGH, FEWER = 1000, 24
"""Once a process's probes have recorded so many messages in full, the next ones begin with fewer:
a program that makes a pool a hundred times is known by its first."""

PERIOD_NS = 1 << 25
"""33.5 ms: shorter would cut windows below the few messages they need, longer would leave runs of
a second with too few windows."""

BUDGET = 0.003
"""Share of a thread's time that its records may take: a message is recorded at three threads or
more, and idle time counts here that is no CPU time. What dark messages cost comes on top
(`benchmarks/doctor_cost.py`)."""

SKIP = 7
"""Messages in the dark between two looks at the clock, at most."""

SKIP_NS = 400_000
"""Limit of looking away: messages that come slower than every 50 us are not skipped."""

LEAST = 5
"""A window is as long as so many messages take, and those skipped before: who looks late still
records a few."""

SLOW_NS = 1_000_000
"""A dark message that took longer than this is recorded all the same: there is time to."""

COUNT_EVERY = 15
"""A mask: dark messages are counted in the record once in 16, and at the latest when it is over."""

GUESS_NS = 20_000
"""Cost of a full record until this machine's own is known."""

_MASK = PERIOD_NS - 1


class Gate:
    """One probe's budget. `until` > 0: dark until that time. `seen`: messages so far."""

    __slots__ = (
        "_dark_at",
        "_full",
        "_interval",
        "_last",
        "_seen_then",
        "cost",
        "seen",
        "skip",
        "until",
    )

    recorded = 0
    """Messages that this process, or those that it was forked from, has recorded in full."""

    usual_ns = float(PERIOD_NS)
    """Mean time between messages at its probes: where the next ones begin."""

    def __init__(self) -> None:
        is_known = Gate.recorded >= ENOUGH
        self._full = FEWER if is_known else FULL
        self.until = 0
        self.seen = 0
        self.cost = float(GUESS_NS)
        self._interval = Gate.usual_ns if is_known else float(PERIOD_NS)
        self._last = 0
        self._dark_at = 0
        self._seen_then = 0
        self.skip = 0

    def opens(self, at: int) -> bool:
        """True if a message that comes at this time (not before `until`) is to be recorded."""
        if self.until:
            self._interval = (at - self._dark_at) / max(1, self.seen - self._seen_then)
            self.until = 0
        elif self._last:
            self._interval += ((at - self._last) - self._interval) * 0.05
        self._last = at
        self.seen += 1
        share = BUDGET * self._interval / self.cost
        self.skip = min(SKIP, max(0, int(SKIP_NS / max(1.0, self._interval)) - 1))
        window = max(share * PERIOD_NS, (self.skip + LEAST) * self._interval)
        if self.seen <= self._full or share >= 1.0 or at & _MASK < window:
            return True
        self._dark_at, self._seen_then = at, self.seen
        self.until = (at | _MASK) + 1
        return False

    def stays_dark(self, at: int) -> bool:
        """True if the dark lasts; if so, this message is counted, and the next `skip`."""
        if at >= self.until:
            return False
        self.seen += 1 + self.skip
        return True

    def spend(self, cost_ns: int) -> None:
        """A record took this long: a moving average prices the next ones."""
        Gate.recorded += 1
        Gate.usual_ns += (self._interval - Gate.usual_ns) * 0.01
        self.cost += (cost_ns - self.cost) * 0.1
