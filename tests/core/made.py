"""A report made by hand, so that what reads reports can be tested without running a pool."""

from __future__ import annotations

from poolwise.account.ledger import (
    ChunkSpan,
    Distribution,
    Factor,
    FunctionAccount,
    LaneAccount,
    Laws,
    ParentSpan,
    Report,
    SlowTask,
)

ACCOUNT = {
    "start": 0.02, "import": 0.0, "init": 0.0, "wait": 0.2, "receive": 0.1, "unpickle": 0.6,
    "run_cpu": 2.95, "run_blocked": 0.02, "run_queued": 0.03, "pickle": 0.01, "send": 0.01,
    "tail": 0.01, "no_job": 0.0, "exit": 0.0, "unexplained": 0.05,
}  # fmt: skip
IDLE = {"parent_pickle": 0.15, "hand_over": 0.05, "tail": 0.01, "no_job": 0.0}
PARENT = {
    "produce": 0.0, "pickle": 1.5, "send": 0.3, "decide": 0.1, "receive": 0.1, "unpickle": 0.05,
    "user_code": 0.0, "wait": 1.9, "no_job": 0.0, "unexplained": 0.05,
}  # fmt: skip


def make_report() -> Report:
    """Two workers that got 180 arrays, 60 distinct ones, each three times."""
    lanes = tuple(
        LaneAccount(
            lane=number,
            name=f"ForkPoolWorker-{number}",
            pid=100 + number,
            born_s=0.0,
            ready_s=0.02,
            ended_s=4.0,
            life_s=4.0,
            account=ACCOUNT,
            idle=IDLE,
            items=90,
            chunks=90,
            bytes_out=144_000_000,
            bytes_in=9_000,
        )
        for number in (1, 2)
    )
    times = Distribution(
        180, 5.9, 0.033, 0.03, 0.9, 0.03, 0.033, 0.035, 0.036, 0.04, ((0.03, 0.033, 180),)
    )
    return Report(
        backend="processes",
        workers=2,
        cpus=2,
        began_at=1_700_000_000.0,
        wall_s=4.0,
        open_s=4.0,
        level="chunks",
        is_one_clock=True,
        items=180,
        chunks=180,
        failed=0,
        deaths=0,
        retries=0,
        given_back=0,
        worker_seconds=8.0,
        worker_account={name: 2 * value for name, value in ACCOUNT.items()},
        idle={name: 2 * value for name, value in IDLE.items()},
        parent=PARENT,
        not_started_s=0.0,
        bytes_out=288_000_000,
        bytes_in=18_000,
        repeated_bytes=192_000_000,
        throttled_s=None,
        lanes=lanes,
        functions=(
            FunctionAccount(
                function="work",
                site="script.py:12",
                jobs=1,
                items=180,
                chunks=180,
                run_s=6.0,
                cpu_s=5.9,
                queued_s=0.06,
                receive_s=0.2,
                worker_unpickle_s=1.2,
                worker_pickle_s=0.02,
                pickle_s=1.5,
                unpickle_s=0.05,
                bytes_out=288_000_000,
                bytes_in=18_000,
                task_times=times,
            ),
        ),
        task_times=times,
        slowest=(SlowTask("work", 17, 0.04, 1, 1.0),),
        factors=(Factor("start-up", 0.995, 0.04, 0.005),),
        laws=Laws(0.74, 1.48, 2.0, 0.5),
        spans=(
            ChunkSpan(
                1, 1, "work", 0, 1, 0.1, 0.2, 0.25, 0.3, 3.0, 3.0, 3.0, 2.6, 0.0, 1_600_000, 100,
                "parent_pickle",
            ),
        ),
        parent_spans=(ParentSpan("pickle", 0.1, 0.2),),
        poolwise="0.1.0",
    )  # fmt: skip
