"""Every number that the search for a setting goes by, with its reason."""

from __future__ import annotations

from poolwise.record import record


@record
class Effort:
    """Weights and limits; no benchmark has found them where none is named."""

    budget_s: float = 20.0
    """Seconds that people wait for a measurement."""

    turns: int = 40
    """A loop over the sample takes this part of the budget: some ten settings have three turns."""

    few_items: int = 16
    """Items that tell how many there shall be in a sample."""

    most_items: int = 20_000
    """More items say nothing that these do not; the length of the article's example."""

    rounds: int = 3
    """Turns of each setting before the next step: the first number that gives an interval."""

    last_rounds: int = 5
    """So often the last comparison may have as many turns again, while it has not settled."""

    rivals: int = 4
    """Settings that may take part in it beside the best."""

    certain: tuple[float, ...] = (4.0, 2.0)
    """After one round and after two no interval says anything: a setting that was never less than
    so many times slower is stopped. Other programs make one in three turns take twice as long."""

    least_spread: float = 0.01
    """Ratios that agree better than this do so by chance."""

    as_fast: float = 1.03
    """A simpler setting within this of the best is taken, unless it is slower for certain."""

    shares: tuple[float, ...] = (0.45, 0.6, 0.85, 1.0)
    """Parts of the budget that are spent when kinds, workers, chunk sizes and the last comparison
    are through."""

    threads: int = 8
    """Threads of the first trial where items wait."""

    coroutines: int = 64
    """Coroutines at once of the first trial."""

    most_words: int = 80
    """Characters of an item in a message."""


EFFORT = Effort()
