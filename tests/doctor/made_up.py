"""Evidence made by hand: a run, a pool, a call, with plausible numbers wherever a test says none.

`pool` derives what hangs together: the region is what the account adds up to, the call has the
messages of the pool's account.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from poolwise.doctor.evidence.features import (
    Distribution,
    Evidence,
    Leaf,
    ObserverCost,
    ParentTimeline,
    Place,
    Pool,
    Program,
    Site,
    Startup,
    StepCosts,
    Worker,
)

HERE = Place("/srv/app/script.py", 12, "main")
CALL = Place("/srv/app/script.py", 14, "main")
OF_THE_POOL = {"start", "respawn", "tail", "drain", "observer", "unexplained"}
STEPS = ("dispatch", "fetch", "reply", "collect")
QUIET = ParentTimeline(*[0.0] * 9)


def times(each_s: float, count: int, longest_s: float | None = None, at: int = 0) -> Distribution:
    """`count` durations, all alike but for the longest."""
    most = longest_s or each_s
    return Distribution(count, each_s, most, at)


def leaf(name: str = "arg[0]", size_bytes: float = 100_000, distinct: int = 1, **more: Any) -> Leaf:
    facts = {"parameter": None, "type": "dict", "sampled": 12, "share_of_bytes_out": 0.95}
    return Leaf(name=name, size_bytes=size_bytes, distinct=distinct, **{**facts, **more})


def step_costs(**steps_s: float) -> StepCosts:
    """What a message costs when nothing disturbs it, by step: dispatch, fetch, reply, collect."""
    facts: dict[str, Any] = {
        "item_bytes_out": 40.0, "item_bytes_in": 30.0, "message_bytes": 80.0,
        "send_bytes_per_s": None, "reply_bytes_per_s": None,
    }  # fmt: skip
    facts.update({f"{name}_s": (steps_s.get(name, 1e-5), 0.0) for name in STEPS})
    return StepCosts(**facts)


def site(account: dict[str, float], messages: int, items: int, wall_s: float, **more: Any) -> Site:
    """A call of `pool.map(work, ...)` at `CALL`."""
    work_s = account.get("run_cpu", 0.0) + account.get("run_blocked", 0.0)
    each_s = work_s / max(1, items)
    facts: dict[str, Any] = {
        "place": CALL,
        "api": "map",
        "function": "__main__.work",
        "function_place": None,
        "calls": 1,
        "messages": messages,
        "items": items,
        "chunksize_asked": None,
        "chunksize": items / max(1, messages),
        "input_type": "range",
        "input_has_length": True,
        "listing_s": None,
        "result_type": "int",
        "bytes_out": 80.0 * messages,
        "bytes_in": 60.0 * messages,
        "first_s": 0.1,
        "last_s": 0.1 + wall_s,
        "account": account,
        "item_times": times(each_s, items),
        "queue_wait": None,
        "leaves": [],
        "series_s": [each_s] * min(items, 4096),
        "series_step": items / max(1, min(items, 4096)),
    }
    return Site(**{**facts, **more})


def pool(
    account: dict[str, float],
    slots: int = 2,
    messages: int = 100,
    items: int | None = None,
    call: dict[str, Any] | None = None,
    **more: Any,
) -> Pool:
    """A multiprocessing.Pool made at `HERE`, forked, with one call."""
    items = messages if items is None else items
    region_s = sum(account.values()) / slots
    startup_s = account.get("start", 0.0) / slots
    own = {state: s for state, s in account.items() if state not in OF_THE_POOL}
    sites = [site(own, messages, items, region_s - startup_s, **(call or {}))]
    work_s = account.get("run_cpu", 0.0) + account.get("run_blocked", 0.0)
    cpu_s, queued_s = account.get("run_cpu", 0.0), account.get("run_queued", 0.0)
    active_s = max(region_s - startup_s, 1e-9)
    facts: dict[str, Any] = {
        "id": 1,
        "kind": "multiprocessing.Pool",
        "place": HERE,
        "pid": 100,
        "method": "fork",
        "slots": slots,
        "max_tasks_per_child": None,
        "initializer": None,
        "created_s": 0.05,
        "region_s": region_s,
        "active_s": active_s,
        "creation_s": 0.005,
        "teardown_s": 0.005,
        "account": account,
        "identity": 1.0,
        "chain": (),
        "messages": messages,
        "items": items,
        "recorded": messages,
        "bytes_out": sites[0].bytes_out,
        "bytes_in": sites[0].bytes_in,
        "sites": sites,
        "workers": [worker(101 + number) for number in range(slots)],
        "startup": Startup(slots, 0.001, 0.0, 0.0, 0.0, max(0.003, startup_s)),
        "deaths": [],
        "parent": QUIET,
        "costs": None,
        "item_times": sites[0].item_times,
        "queue_wait": None,
        "blocked_by": {},
        "samples": 0,
        "helper_cpu_s": 0.0,
        "cores_used": cpu_s / active_s,
        "demand_cpus": (cpu_s + queued_s) / active_s,
        "mean_running": (work_s + queued_s) / active_s,
        "max_outstanding": max(2, messages),
        "mean_outstanding": max(2.0, messages / 2),
        "leaves": sites[0].leaves,
        "random_streams": [],
        "switches_forced": 10,
        "parent_threads": 4,
    }
    return Pool(**{**facts, **more})


def worker(pid: int, **more: Any) -> Worker:
    facts: dict[str, Any] = {
        "began_s": 0.05, "ended_s": 1.0, "messages": 50, "account": {}, "cpu_s": None,
        "threads": 1, "exit_code": 0,
    }  # fmt: skip
    return Worker(pid=pid, **{**facts, **more})


def program(wall_s: float, **more: Any) -> Program:
    """A program on two quiet CPUs."""
    facts: dict[str, Any] = {
        "command": ["script.py"],
        "exit_status": 0,
        "boot_s": 0.02,
        "parallel_s": wall_s - 0.1,
        "serial_s": 0.1,
        "cpu_s": 0.5 * wall_s,
        "python": "3.11.7",
        "cpus": 2.0,
        "cpus_machine": 2,
        "other_cpus": 0.02,
        "steal_cpus": 0.0,
        "throttled_s": 0.0,
        "throttled_periods": 0,
        "quota_cpus": None,
        "native_threads": {},
        "processes": 3,
        "unseen_processes": 0,
        "is_interrupted": False,
        "can_see_causes": True,
    }
    return Program(wall_s=wall_s, **{**facts, **more})


def run(*pools: Pool, wall_s: float | None = None, **more: Any) -> Evidence:
    """A run of a program with these pools; further words are facts of the program or evidence."""
    of_evidence = {field.name for field in dataclasses.fields(Evidence)}
    evidence = {name: value for name, value in more.items() if name in of_evidence}
    facts = {name: value for name, value in more.items() if name not in of_evidence}
    whole_s = wall_s if wall_s is not None else 0.15 + sum(each.region_s for each in pools)
    known: dict[str, Any] = {
        "is_attached": True,
        "program": program(whole_s, **facts),
        "pools": list(pools),
        "channels": [],
        "proxies": [],
        "observer": ObserverCost(100, 0.001, 0.01, 0.02, 0.01),
        "troubles": [],
    }
    return Evidence(**{**known, **evidence})
