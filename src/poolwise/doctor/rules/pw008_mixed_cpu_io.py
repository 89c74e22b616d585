"""PW008: tasks that compute and wait, with one worker per CPU."""

from __future__ import annotations

from poolwise.doctor import words
from poolwise.doctor.advice import remedies
from poolwise.doctor.evidence import measures
from poolwise.doctor.evidence.features import Evidence, Place, Pool
from poolwise.doctor.evidence.measures import Flow
from poolwise.doctor.findings import Answer, Fact, Remedy
from poolwise.doctor.rules.pw007_io_bound import MOSTLY, waits_for_the_world
from poolwise.doctor.rules.rule import SiteRule
from poolwise.report import figures

LEAST = 0.2
"""Blocked share from which on more workers than CPUs are worth it."""

LEAST_IDLE = 0.15
"""Least share of the pool's CPUs that lies idle while tasks run."""


class MixedCpuIo(SiteRule):
    """The function computes and waits in turn, and while it waits a CPU lies idle.

    ## What it does

    Splits the function's time into computing and waiting, and counts the CPUs that are wanted
    while tasks run.

    ## Why it costs

    One worker per CPU is right for pure computation. If a task waits half of its time, half of the
    CPUs do nothing at any moment although work is there.

    ## Example

    ```python
    def handle(url):
        return parse(download(url))  # 8 ms of waiting, 8 ms of computing

    with Pool(os.cpu_count()) as pool:
        pool.map(handle, urls)
    ```

    ## Use instead

    ```python
    with Pool(2 * os.cpu_count()) as pool:        # CPUs / share of time on a CPU
        pool.map(handle, urls)

    with ThreadPoolExecutor(32) as fetchers, Pool() as parsers:  # or a stage for each
        parsers.imap(parse, fetchers.map(download, urls))
    ```

    ## What is measured

    Blocked share of the function's time between 20 and 70 % (over that: PW007), not behind a lock,
    and at least 15 % of the CPUs that the pool could use idle while tasks run, if no other program
    wanted them.

    ## What would prove it wrong

    With the suggested number of workers the call takes as long as before.
    """

    code = "PW008"
    name = "mixed-cpu-io"
    explains = frozenset({"imbalance-chunks", "not-worth-a-pool"})

    def judge(self, flow: Flow, where: Place | None, pool: Pool, seen: Evidence) -> Answer | None:
        """See whether CPUs are idle because tasks wait."""
        blocked = measures.blocked_share(flow)
        if not LEAST < blocked < MOSTLY or not waits_for_the_world(flow, pool, seen):
            return None
        cpus = seen.program.cpus
        workers = max(pool.slots + 1, round(cpus / (1 - blocked)))
        # Not what tasks got beside other programs: a busy machine's CPUs are never idle.
        wanted = (1 - blocked) * pool.mean_running
        idle = 1 - min(1.0, wanted / max(1.0, cpus))
        if idle < LEAST_IDLE:
            return None
        now_s = remedies.call_wall_s(flow, pool)
        cpu_s = measures.spent_s(flow, "run_cpu")
        then_s = min(now_s, max(cpu_s / cpus, flow.work_s / workers))
        cause = measures.main_cause(pool)
        prediction = remedies.predict(flow, pool, seen, then_s)
        stage = "a stage of threads for the waiting, processes for the computing"
        return self.found(
            pool,
            where,
            now_s - then_s,
            f"Your function computes {figures.share(1 - blocked)} of its time and waits the rest "
            f"({cause}): {words.count(pool.slots, 'worker')} leave CPUs idle",
            [
                Fact("blocked_share", blocked, f"blocked {figures.share(blocked)} of its time"),
                Fact("cause", cause, f"mostly waiting for: {cause}"),
                Fact("demand_cpus", wanted, f"{wanted:.2f} CPUs wanted"),
                Fact("cpus", cpus, f"{cpus:g} there"),
            ],
            [remedies.set_workers(pool, workers, prediction), Remedy("code", stage)],
        )
