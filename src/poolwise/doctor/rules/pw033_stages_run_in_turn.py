"""PW033: a list stands between two pools, so one waits while the other works."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from poolwise.doctor.advice import remedies, stages
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Pool, Site
from poolwise.doctor.findings import Answer, Fact, Prediction, Remedy
from poolwise.doctor.rules.rule import Rule
from poolwise.report import figures


class StagesRunInTurn(Rule):
    """One pool's results are collected into a list before the next pool gets the first of them.

    ## What it does

    Recognises two calls, on one pool or on two, of which the second gets what the first has given,
    and begins when the first has come to its end.

    ## Why it costs

    While pages are fetched no CPU parses, and while they are parsed nothing is fetched: the times
    of the stages add up, where the slower of them alone could be all there is. And everything
    between them is in memory at once.

    ## Example

    ```python
    pages = list(threads.map(fetch, urls))
    rows = list(processes.map(parse, pages))
    ```

    ## Use instead

    ```python
    rows = poolwise.pipe(urls).map(fetch).map(parse).run()  # one item behind the other
    ```

    ## What is measured

    The second call begins after the last result of the first, and the program's text hands the
    one's results to the other. Predicted is the longer of both calls, or what their CPU time takes
    on the free CPUs (on one CPU in threads) if that is more, and one item in each stage to fill
    and to drain it.

    ## What would prove it wrong

    As a pipe the program takes as long.
    """

    code = "PW033"
    name = "stages-run-in-turn"

    def examine(self, seen: Evidence) -> Iterator[Answer]:
        """Look at calls of one process that follow each other."""
        calls = [(pool, site) for pool in seen.pools for site in pool.sites if site.messages]
        calls.sort(key=lambda call: call[1].first_s)
        for (one, first), (other, second) in combinations(calls, 2):
            is_in_turn = one.pid == other.pid and first.last_s <= second.first_s
            if is_in_turn and first.calls == second.calls == 1 and stages.feeds(first, second):
                answer = self._judge((one, first), (other, second), seen)
                if answer:
                    yield answer

    def _judge(
        self, before: tuple[Pool, Site], after: tuple[Pool, Site], seen: Evidence
    ) -> Answer | None:
        first, second = before[1], after[1]
        now_s = second.last_s - first.first_s
        then_s = overlapped_s([before, after], seen)
        if then_s > remedies.GAIN * now_s:
            return None
        first_s, second_s = first.last_s - first.first_s, second.last_s - second.first_s
        names = [site.function.rpartition(".")[2] for site in (first, second)]
        return self.found(
            after[0],
            second.place,
            now_s - then_s,
            f"{names[1]} gets its first item when {names[0]} has done its last: a list stands "
            "between them",
            [
                Fact("first_s", first_s, f"{figures.seconds(first_s)} in {names[0]}"),
                Fact("second_s", second_s, f"then {figures.seconds(second_s)} in {names[1]}"),
                Fact("overlapped_s", then_s, f"{figures.seconds(then_s)} side by side"),
            ],
            [Remedy("code", stages.pipe_of(first, second), _predict(now_s, then_s, seen))],
        )


def overlapped_s(calls: list[tuple[Pool, Site]], seen: Evidence) -> float:
    """Wall seconds of stages that work side by side: the bottleneck law."""
    cpus_s = [measures.spent_s(site, "run_cpu") for _, site in calls]
    moved_s = sum(measures.moving_s(site) for _, site in calls)
    here_s = sum(spent for (pool, _), spent in zip(calls, cpus_s, strict=True) if pool.is_threads)
    free_cpus = max(1.0, seen.program.cpus - (seen.program.other_cpus or 0.0))
    longest_s = max(site.last_s - site.first_s for _, site in calls)
    ends_s = sum(site.work_s / max(1, site.items) for _, site in calls)
    return max(longest_s, (sum(cpus_s) + moved_s) / free_cpus, here_s) + ends_s


def _predict(now_s: float, then_s: float, seen: Evidence) -> Prediction:
    """The program's time if these two calls take ``then_s``."""
    wall_s, gain_s = seen.program.wall_s, now_s - then_s
    is_busy = (seen.program.other_cpus or 0.0) > measures.BUSY_CPUS
    width_s = gain_s * remedies.BAND * (1.5 if is_busy else 1.0)
    program_s = wall_s - gain_s
    return Prediction(
        "program", wall_s, program_s, max(0.0, program_s - width_s), program_s + width_s
    )
