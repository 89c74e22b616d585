"""Where every worker-second went: the states that partition the life of a pool's slots."""

from __future__ import annotations

STATES = {
    "startup": "workers were not ready yet",
    "respawn": "a worker was being replaced",
    "starved": "waiting: nothing was submitted",
    "generator": "waiting: the parent was in the input iterator",
    "dispatch": "waiting: the parent was slow to hand out",
    "pickle_args": "waiting: the parent pickled arguments",
    "transport": "waiting: the parent wrote bytes",
    "wakeup": "waiting: sent, but not yet taken (wake-up, queue lock)",
    "receive": "reading a message",
    "unpickle_args": "unpickling arguments",
    "run_cpu": "your function on a CPU",
    "run_blocked": "your function blocked: I/O, sleep, locks",
    "run_queued": "your function ready to run, but no CPU was free",
    "pickle_result": "pickling results",
    "lock_result": "waiting for the lock of the result pipe",
    "send_result": "writing results",
    "loop": "the pool's own loop",
    "observer": "the doctor's own clocks",
    "tail": "idle: others still work",
    "drain": "idle: last results on their way",
    "unexplained": "not explained",
}
"""State of a slot -> what it means. A slot is in exactly one of them at any time of its region."""
