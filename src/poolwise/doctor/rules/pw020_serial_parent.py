"""PW020: most of the time passes outside every pool."""

from __future__ import annotations

from collections.abc import Iterator

from poolwise.doctor import measures
from poolwise.doctor.features import Evidence
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import Rule
from poolwise.report import figures

LEAST_SHARE = 0.5
"""Of the program's wall time."""

LEAST_S = 0.25


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

    Find out what the serial part does (`python -m cProfile script.py`), make it faster, or move it
    into the tasks, where it runs side by side. Take results as they come (`imap_unordered`,
    `as_completed`) so that storing overlaps with computing.

    ## What is measured

    Wall time without work in any pool, less the start of the interpreter and of the pools: over
    half of the program's time, and over 0.25 s. The ceiling is wall / serial. At stake is what
    would be won if the serial part ran on all CPUs: rarely all of it can.

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
        serial_s = program.serial_s - having_s - (program.boot_s or 0.0)
        share = serial_s / program.wall_s
        if share < LEAST_SHARE or serial_s < LEAST_S:
            return
        ceiling = program.wall_s / serial_s
        spread_s = serial_s / max(1.0, program.cpus)
        yield self.found(
            None,
            None,
            serial_s - spread_s,
            f"{figures.share(share)} of the time passes outside every pool: infinitely many "
            f"workers could make the program {ceiling:.2f} times as fast at most",
            [
                Fact("serial_s", serial_s, f"{figures.seconds(serial_s)} outside every pool"),
                Fact("parallel_s", program.parallel_s, figures.seconds(program.parallel_s) + " in"),
                Fact("ceiling", ceiling, f"speed-up {ceiling:.2f} at most"),
                *self._work(seen),
            ],
            [
                Remedy("code", "move serial work into the tasks, or make it faster: profile it"),
                Remedy("code", "take results as they come, so that storing them overlaps"),
            ],
        )

    def _work(self, seen: Evidence) -> list[Fact]:
        work_s = sum(pool.work_s for pool in measures.process_pools(seen))
        return [Fact("work_s", work_s, f"{figures.seconds(work_s)} of work in processes")]
