"""PW020: most of the time passes outside every pool."""

from __future__ import annotations

from collections.abc import Iterator

from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, HotLine, Place, Pool
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.notes import say_unseen
from poolwise.doctor.rules.rule import Rule
from poolwise.report import figures

LEAST_SHARE = 0.5
"""Least share of the program's wall time."""

LEAST_S = 0.25

LEAST_BUSY, CRITICAL = 0.5, 0.8
"""Less than half outside the pools is enough, if the program is busy half of the time while they
work: its own thread is then what everything waits for, with this share of the wall altogether."""

LEAST_FAIR = 0.3
"""Least share of a CPU that one busy thread gets beside others (assumed)."""


MOVABLE = 0.5
"""Share of the serial part that can become tasks (assumed): imports, input and output stay. A
finding on a pool is sure of its seconds; this one knows only a ceiling."""


class SerialParent(Rule):
    """Most of the program's time passes outside every pool, in one process.

    ## What it does

    Adds up the wall time in which no pool had work outstanding: reading input, preparing, writing
    out, and whatever the program does with results in between.

    ## Why it costs

    Amdahl's law: if 80 % of the time is serial, even infinitely many workers make the program only
    1.25 times as fast. Tuning the pool is then tuning the wrong part.

    ## Example

    ```python
    data = make_everything()                # 1.2 s
    with Pool() as pool:
        parts = pool.map(work, data)        # 0.3 s
    for part in parts:
        store(part)                         # 0.5 s
    ```

    ## Use instead

    See which lines the serial part spends its time at, make them faster, or move them
    into the tasks, where it runs side by side. Take results as they come (`imap_unordered`,
    `as_completed`) so that storing overlaps with computing.

    ## What is measured

    Wall time without work in any pool, less the start of the interpreter and of the pools, and
    less that in which the program's threads only waited for each other, or its event loop for a
    call: over half of the program's time, and over 0.25 s; or less, if the program's own thread
    does not wait while the pools work either (it handles results, say), so that it is busy four
    fifths of the time. Beside other programs serial time is counted as what it would be without
    them.
    The lines are those at which the program's first thread was found, some tens of times a second,
    while it computed outside its pools; it is asked only if it computes for much of the run.
    At stake is what would be won if half of the serial part ran on all CPUs: imports, input and
    output rarely can.

    ## What would prove it wrong

    With the pool's part left out, the program takes less than half as long.
    """

    code = "PW020"
    name = "serial-parent"
    is_always_said = True
    explains = frozenset({"not-worth-a-pool"})

    def examine(self, seen: Evidence) -> Iterator[Answer]:
        """Look at the program as a whole."""
        program = seen.program
        pools = [pool for pool in seen.pools if pool.messages]
        if not pools or program.wall_s <= 0:
            return
        own = [pool for pool in pools if pool.pid == min(each.pid for each in pools)]
        having_s = sum(pool.creation_s + pool.teardown_s for pool in own)
        outside_s = measures.own_serial_s(seen)
        serial_s = outside_s * fair_share(seen)
        parallel_s = program.parallel_s * self._calm_share(pools, seen)
        share = serial_s / (serial_s + parallel_s + having_s * fair_share(seen))
        is_mostly_serial = serial_s > LEAST_S and share > LEAST_SHARE
        if not (is_mostly_serial or self._is_critical(seen, own, outside_s)):
            return
        if program.unseen_s > outside_s / 2:
            at_stake_s = MOVABLE * outside_s
            why = f"in most of the time outside its pools {say_unseen(program)}"
            yield self.cannot_tell(None, why, at_stake_s)
            return
        spread_s = serial_s / max(1.0, program.cpus)
        yield self.found(
            None,
            main_line(seen),
            MOVABLE * (serial_s - spread_s),
            f"{figures.share(share)} of the time passes outside every pool, where no number of "
            "workers makes it shorter",
            [
                Fact("serial_s", serial_s, f"{figures.seconds(serial_s)} outside every pool"),
                Fact("parallel_s", program.parallel_s, figures.seconds(program.parallel_s) + " in"),
                *self._work(seen),
                *self._lines(seen),
            ],
            [
                Remedy("code", "move serial work into the tasks, or make it faster"),
                Remedy("code", "take results as they come, so that storing them overlaps"),
            ],
        )

    def _calm_share(self, pools: list[Pool], seen: Evidence) -> float:
        """Share of the time in pools that would have passed with a CPU for every task."""
        active_s = sum(pool.active_s for pool in pools)
        calm_s = sum(
            max(measures.undisturbed_s(pool), measures.parallel_work_s(pool, seen))
            for pool in pools
        )
        return min(1.0, calm_s / active_s) if active_s else 1.0

    def _is_critical(self, seen: Evidence, pools: list[Pool], outside_s: float) -> bool:
        """True if the program's own thread is busy all the time, also while the pools work."""
        known = [
            pool
            for pool in pools
            if pool.parent is not None
            and not pool.is_threads
            and measures.share_s(pool, *measures.SUPPLY) < LEAST_SHARE
        ]
        active_s = sum(pool.active_s for pool in known)
        waiting_s = sum(pool.parent.caller_wait_s for pool in known if pool.parent)
        busy_s = active_s - waiting_s - sum(pool.teardown_s for pool in known)
        is_busy = busy_s > LEAST_BUSY * active_s
        at_all_s = outside_s + max(0.0, busy_s)
        return is_busy and outside_s > LEAST_S and at_all_s > CRITICAL * seen.program.wall_s

    def _lines(self, seen: Evidence) -> list[Fact]:
        """Hot lines, as far as the program was asked."""
        return [
            Fact("line", each.share, f"{figures.share(each.share)} of it at {_say_line(each)}")
            for each in (seen.serial.lines if seen.serial else [])[:MOST_LINES]
            if each.share > LEAST_OF_LINES
        ]

    def _work(self, seen: Evidence) -> list[Fact]:
        work_s = sum(pool.work_s for pool in measures.process_pools(seen))
        return [Fact("work_s", work_s, f"{figures.seconds(work_s)} of work in processes")]


MOST_LINES, LEAST_OF_LINES, MAIN = 3, 0.05, 0.25


def main_line(seen: Evidence) -> Place | None:
    """The line at which a good part of the serial time passes."""
    lines = seen.serial.lines if seen.serial else []
    if not lines or lines[0].share < MAIN:
        return None
    return Place(lines[0].file, lines[0].line, lines[0].function)


def _say_line(line: HotLine) -> str:
    through = f" in {line.through}()" if line.through else ""
    return f"{line.file.rpartition('/')[2]}:{line.line} ({line.function}){through}"


def fair_share(seen: Evidence) -> float:
    """The share of a CPU that one busy thread gets beside other programs.

    Without this a program that waits in its pools looks serial on a busy machine, because only its
    serial part (imports, mostly) takes longer there.
    """
    free = seen.program.cpus - (seen.program.other_cpus or 0.0)
    return min(1.0, max(LEAST_FAIR, free))
