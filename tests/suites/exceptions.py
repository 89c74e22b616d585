"""The interpreter's own tests that cannot hold for our pools, each with its reason."""

from __future__ import annotations

from fnmatch import fnmatch

EXCEPTIONS = {
    # Ours goes on after a death, and tests/doors/test_executor.py holds it to that.
    "*.test_killed_child": "the standard executor is broken by a worker's death",
    "*.test_broken_process_pool_traceback": "one death breaks all its futures",
    # Ours replaces workers with fork too, likewise.
    "ProcessPoolFork[!s]*.test_max_tasks_per_child": "the standard executor refuses it with fork",
    # An executor of ours runs what it was given, dropped or not.
    "*.test_gc_during_max_tasks_worker_exit_gh152967": "what a dropped executor holds is to fail",
    "*.test_shutdown_no_wait_max_tasks_gh119592": "what a dropped executor holds is to fail",
    "*.test_traceback_when_child_process_terminates_abruptly": "ours says it in the error itself",
    # These look into the standard executor, or change what is in it.
    "*.test_failed_worker_replacement_breaks_pool": "it makes `process._spawn_worker` fail",
    "*.test_force_shutdown_during_max_tasks_worker_exit": "it sets `_force_shutting_down`",
    "*.test_force_shutdown_workers_invalid_op": "it calls `_force_shutdown`",
    "*.test_terminate_workers": "it looks for a call of `_force_shutdown`",
    "*.test_kill_workers": "it looks for a call of `_force_shutdown`",
    "*.test_python_finalization_error": "it makes the second thread fail that is started",
}
"""By `Class.test`, with wildcards as in the shell."""


def reason_against(name: str) -> str:
    """The reason why this test cannot hold, or nothing."""
    return next((why for pattern, why in EXCEPTIONS.items() if fnmatch(name, pattern)), "")
