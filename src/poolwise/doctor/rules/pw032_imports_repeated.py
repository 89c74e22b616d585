"""PW032: every worker imports again what the parent has imported."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import PoolRule
from poolwise.report import figures

HEAVY_IMPORT_S = 0.1
"""Seconds of imports in each worker that are worth a word."""

LEAST_SHARE = 0.1
"""Least share of the pool's time, in imports."""

MAIN_ALONE = 'keep imports that only the parent needs below `if __name__ == "__main__":`'

_HELP = {
    "spawn": 'multiprocessing.get_context("forkserver") after set_forkserver_preload([...]) of the '
    "heavy modules: they are imported once, and workers are forked from there",
    "forkserver": "multiprocessing.set_forkserver_preload([...]) of the heavy modules before the "
    "first pool: they are imported once, in the server",
}


class ImportsRepeated(PoolRule):
    """Each worker imports the main module, and all that it imports, once more.

    ## What it does

    Takes the time from a worker's interpreter until it can begin with a task, and the memory that
    a fresh interpreter took meanwhile.

    ## Why it costs

    A spawned worker is a new interpreter. It imports the main module again to find the functions
    in it, with everything at the top of it, whether its tasks need that or not; so does one of a
    fork server that has not preloaded it. Each pays the time before its first task and keeps the
    memory for its life: nothing of it is shared. From Python 3.14 on the fork server is the
    default on Linux, where workers inherited all of it before.

    ## Example

    ```python
    import pandas
    import torch                                # each worker imports both

    def word_count(path):
        return len(open(path).read().split())

    if __name__ == "__main__":
        with get_context("spawn").Pool(8) as pool:
            pool.map(word_count, paths)
    ```

    ## Use instead

    ```python
    def word_count(path):
        return len(open(path).read().split())

    if __name__ == "__main__":
        import pandas                           # the parent alone needs them
        import torch

        with get_context("spawn").Pool(8) as pool:
            pool.map(word_count, paths)
    ```

    What tasks do need is imported once by a fork server: `set_forkserver_preload(["torch"])` before
    its first pool.

    ## What is measured

    With spawn and forkserver: seconds of imports in each worker, over 0.1 s and 10 % of the pool's
    time, without what other programs on the same CPUs added to it. Memory: what a fresh interpreter
    has of its own when it begins with its target, less what it had before the program's first line.

    ## What would prove it wrong

    With a main module that imports nothing workers are ready as late as before.
    """

    code = "PW032"
    name = "imports-repeated"

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Look at what workers import."""
        if pool.is_threads or pool.method not in _HELP:
            return None
        imports_s = (pool.startup.imports_s or 0.0) / measures.crowding(seen)
        if imports_s < HEAVY_IMPORT_S or imports_s < LEAST_SHARE * pool.region_s:
            return None
        starts, size_bytes = pool.startup.starts, pool.startup.imports_bytes
        weight = f" and {figures.size(size_bytes)}" if size_bytes else ""
        facts = [
            Fact("imports_s", imports_s, f"{figures.seconds(imports_s)} of imports a worker"),
            Fact("starts", starts, words.count(starts, "worker") + " were started"),
            Fact("method", pool.method or "", f"start method: {pool.method}"),
        ]
        if size_bytes:
            whole = (
                f"{figures.size(size_bytes)} a worker, {figures.size(size_bytes * starts)} in all"
            )
            facts.insert(1, Fact("imports_bytes", size_bytes, whole))
        return self.found(
            pool,
            pool.place,
            min(imports_s, pool.region_s),
            f"Each of {words.count(starts, 'worker')} imports the main module again: "
            f"{figures.seconds(imports_s)}{weight} before its first task",
            facts,
            [Remedy("code", MAIN_ALONE), Remedy("code", _HELP[pool.method or ""])],
        )
