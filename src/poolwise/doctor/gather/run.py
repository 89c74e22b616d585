"""Evidence for the rules, from the records of a run. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from poolwise.doctor.evidence.features import (
    Evidence,
    ObserverCost,
    Pool,
    Program,
)
from poolwise.doctor.gather import causes, hot, laws, outside, standstill, sums, trials
from poolwise.doctor.gather import pool as gather_pool
from poolwise.doctor.gather.account import account
from poolwise.doctor.gather.channels import gather_channels, gather_proxies
from poolwise.doctor.gather.ledger import TICKS_PER_S, gather_own_pools
from poolwise.doctor.records import pyspy
from poolwise.doctor.records.pools import PoolRecords, assemble

if TYPE_CHECKING:
    from poolwise.doctor.records.run import Run

RECORD_S = 30e-6
"""CPU-seconds of one full record over all processes (`benchmarks/doctor_cost.py`)."""

DARK_S = 3.5e-6
"""CPU-seconds of one message that the probes let pass, over all processes (same benchmark)."""

START_S = 0.003
"""Cost of attaching to a fresh interpreter (same benchmark)."""

FORK_S = 0.0028
"""CPU-seconds of a forked process that records: its files, and the pages it so has to copy. What
120 pools of two workers with four tasks each took more (1.2 and 1.9 CPU-seconds)."""


def gather(run: Run) -> Evidence:
    """Gather the evidence of a run."""
    records = assemble(run)
    pools = [
        laws.with_laws(gather_pool.gather_pool(run, pool, account(pool)), pool) for pool in records
    ]
    own = gather_own_pools(run)
    pools += own
    pools.sort(key=lambda pool: pool.created_s)
    program = gather_program(run, records, own)
    tried = [trials.gather_trial(event) for event in run.of("verify")]
    return Evidence(
        is_attached=any(event["pid"] == run.launch.get("root") for event in run.of("interpreter")),
        program=program,
        pools=pools,
        channels=gather_channels(run),
        proxies=gather_proxies(run, {worker.pid for pool in own for worker in pool.workers}),
        observer=gather_observer(run, pools),
        troubles=[f"{event['where']}: {event['error']}" for event in run.of("trouble")],
        trials=tried,
        untried=trials.gather_untried(run, pools, tried),
        serial=hot.from_serial(run.of("serial"), program.serial_s),
        standstill=standstill.find(run, records, end_ns(run)),
        profile=hot.from_stacks(run.stacks, pyspy.RATE) or hot.from_counts(run.of("profile")),
    )


def end_ns(run: Run) -> int:
    """End of the run; the last thing recorded if the launcher did not live to see it."""
    if "ended_ns" in run.launch:
        return int(run.launch["ended_ns"])
    times = [event["t"] for events in run.events.values() for event in events]
    times += [tasks[-1].sent for tasks in run.tasks.values() if tasks]
    return max(times, default=int(run.launch["began_ns"]))


def gather_program(run: Run, records: list[PoolRecords], own: list[Pool]) -> Program:
    """The run as a whole."""
    launch = run.launch
    wall_s = (end_ns(run) - launch["began_ns"]) / 1e9
    busy = sums.unite(span for pool in records for span in gather_pool.outstanding(pool))
    parallel_s = sums.length(busy) / 1e9 + math.fsum(pool.active_s for pool in own)
    root = [event for event in run.of("interpreter") if event["pid"] == launch.get("root")]
    throttled = launch.get("throttled")
    processes = launch.get("processes", {})
    unseen = _lives_unseen(run)
    outside_pools = _without(run, records, busy)
    alone = _without(run, records, [*busy, *unseen])
    return Program(
        command=launch["command"],
        exit_status=launch.get("status"),
        wall_s=wall_s,
        boot_s=(root[0]["t"] - launch["began_ns"]) / 1e9 if root else None,
        parallel_s=min(wall_s, parallel_s),
        serial_s=max(0.0, wall_s - parallel_s),
        cpu_s=program_cpu_s(run),
        python=root[0]["python"] if root else None,
        cpus=cpus(launch),
        cpus_machine=launch.get("cpus_machine", 1),
        other_cpus=_others_s(run) / wall_s if "busy_s" in launch and wall_s else None,
        steal_cpus=launch["steal_s"] / wall_s if "steal_s" in launch and wall_s else None,
        throttled_s=throttled[1] if throttled else None,
        throttled_periods=throttled[0] if throttled else None,
        quota_cpus=launch.get("quota_cpus"),
        native_threads=_native_threads(processes),
        processes=len({*map(int, processes), *run.births}),
        unseen_processes=len(unseen),
        is_interrupted=launch.get("is_interrupted", True),
        can_see_causes=causes.are_visible(run),
        serial_idle_s=None if own else outside.idle_s(run, alone),
        stopped_s=_stopped_s(run),
        lost_pools=len({event["id"] for event in run.of("own pool")} - {pool.id for pool in own}),
        unseen_s=(sums.length(outside_pools) - sums.length(alone)) / 1e9,
    )


def _stopped_s(run: Run) -> float | None:
    """Time at which the program was first told to end."""
    at: int | None = run.launch.get("watch", {}).get("stopped_ns")
    return (at - run.launch["began_ns"]) / 1e9 if at else None


def _without(run: Run, records: list[PoolRecords], spans: list[sums.Span]) -> list[sums.Span]:
    """The time beside these intervals in which no pool was made and none ended."""
    made = [(pool.facts["began"], pool.facts["ended"]) for pool in records]
    ends = [(end["began"], end["ended"]) for pool in records for end in pool.ends]
    return outside.complement(
        sums.unite([*spans, *made, *ends]), run.launch["began_ns"], end_ns(run)
    )


def cpus(launch: dict[str, Any]) -> float:
    """The CPUs that the program may use: affinity and quota."""
    count: float = launch.get("affinity") or launch.get("cpus_machine") or 1
    quota: float | None = launch.get("quota_cpus")
    return float(count if quota is None else min(count, quota))


def program_cpu_s(run: Run) -> float:
    """CPU-seconds of the program with all its processes."""
    used: float | None = run.launch.get("cpu_s")
    if used is not None:
        return used
    last = [seen[-1].cpu_ticks for threads in run.samples.values() for seen in threads.values()]
    return sum(last) / TICKS_PER_S


def _others_s(run: Run) -> float:
    """CPU-seconds of everybody but the program and the launcher."""
    busy_s: float = run.launch.get("busy_s", 0.0)
    beside_s: float = run.launch.get("beside_s", 0.0)
    return max(0.0, busy_s - program_cpu_s(run) - beside_s)


def _native_threads(processes: dict[str, Any]) -> dict[str, int]:
    found: dict[str, int] = {}
    for seen in processes.values():
        for library in seen.get("libraries") or []:
            found[library] = max(found.get(library, 0), seen["threads"])
    return found


def _lives_unseen(run: Run) -> list[sums.Span]:
    """Pythons of the program that lived a while and that the observer did not reach."""
    attached = {event["pid"] for events in run.events.values() for event in events} | {*run.births}
    return [
        (seen["first_ns"], seen["last_ns"])
        for pid, seen in run.launch.get("processes", {}).items()
        if seen["is_python"] and int(pid) not in attached and _had_time_to_attach(seen)
    ]


def _had_time_to_attach(seen: dict[str, Any]) -> bool:
    """False for a process that may have ended before it came to load the observer."""
    start_s, long_start_s, start_ticks = 0.1, 1.0, 2
    lived_s = (seen["last_ns"] - seen["first_ns"]) / 1e9
    # Beside other load an interpreter that has not begun yet is old: its CPU time tells.
    has_computed: bool = lived_s > start_s and seen["cpu_ticks"] > start_ticks
    is_old: bool = lived_s > long_start_s
    return has_computed or is_old


def gather_observer(run: Run, pools: list[Pool]) -> ObserverCost:
    """The cost of observing, by the prices of the benchmark and the counts of this run."""
    recorded = sum(pool.recorded for pool in pools)
    dark = max(0, sum(pool.messages for pool in pools) - recorded)
    sampling_s = sum(run.sampling_ns.values()) / 1e9
    inside_s = recorded * RECORD_S + dark * DARK_S + sampling_s
    fresh = {event["pid"] for event in run.of("interpreter")}
    start_s = len(fresh) * START_S + len(set(run.births) - fresh) * FORK_S
    beside_s = run.launch.get("beside_s", 0.0)
    cpu_s = program_cpu_s(run)
    return ObserverCost(
        records=run.slots,
        inside_s=inside_s,
        start_s=start_s,
        beside_s=beside_s,
        share_of_cpu=(inside_s + start_s) / cpu_s if cpu_s else 0.0,
    )
