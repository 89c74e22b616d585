"""PW025: workers draw the same random numbers."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.rule import PoolRule


class DuplicatedRandomStreams(PoolRule):
    """Several workers began with the same state of a random generator and drew from it.

    ## What it does

    Compares the state of the global generators (numpy's, `random`'s) in each worker when it began,
    and sees whether tasks used them.

    ## Why it costs

    Not time, but the result: a forked worker inherits the parent's generator, state and all.
    numpy's global generator is not seeded anew, so that every worker draws the same numbers. Ten
    workers then simulate one and the same world ten times, and the error bars are wrong.

    ## Example

    ```python
    def walk(_):
        return np.random.normal(size=100).sum()      # the same in every worker
    ```

    ## Use instead

    ```python
    def walk(seed):
        return np.random.default_rng(seed).normal(size=100).sum()

    seeds = np.random.SeedSequence(1).spawn(1000)    # one stream for each task:
    pool.map(walk, seeds)                            # repeatable, whoever does it
    ```

    ## What is measured

    A digest of the generator's state in each worker before its first task, and again after it.
    Yes, if two workers began alike and the state moved on.

    ## What would prove it wrong

    Each task seeds the generator itself before it draws.
    """

    code = "PW025"
    name = "duplicated-random-streams"
    kind = "wrong"
    is_always_said = True

    def judge(self, pool: Pool, seen: Evidence) -> Answer | None:
        """Compare where the streams begin."""
        same = [
            stream
            for stream in pool.random_streams
            if stream.used and stream.workers > 1 and stream.distinct_starts < stream.workers
        ]
        if pool.is_threads or not same:
            return None
        stream = same[0]
        count = words.count(stream.workers, "worker")
        text = "a generator for each task: numpy.random.SeedSequence(seed).spawn(tasks)"
        return self.found(
            pool,
            pool.sites[0].place if len(pool.sites) == 1 else pool.place,
            measures.undisturbed_s(pool),
            f"{count} draw the same numbers from {stream.name}: {stream.distinct_starts} different "
            "beginning" + ("s" if stream.distinct_starts > 1 else ""),
            [
                Fact("generator", stream.name, stream.name),
                Fact("workers", stream.workers, count),
                Fact("distinct", stream.distinct_starts, f"{stream.distinct_starts} different"),
            ],
            [Remedy("code", text)],
        )
