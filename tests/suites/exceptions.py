"""The interpreter's own tests that cannot hold for our pools, each with its reason."""

from __future__ import annotations

from fnmatch import fnmatch

EXCEPTIONS = {
    # Ours goes on after a death, and tests/doors/test_executor.py holds it to that.
    "*.test_killed_child": "the standard executor is of no use after a worker's death; ours goes on",
    "*.test_broken_process_pool_traceback": "likewise: one death ends one task, and not all three",
    # Ours replaces workers with fork too, likewise.
    "ProcessPoolFork[!s]*.test_max_tasks_per_child": "the standard executor refuses it with fork",
    # These look into the standard executor, or change what is in it.
    "*.test_shutdown_deadlock_pickle": "_executor_manager_thread",
    "*.test_del_shutdown": "_executor_manager_thread, _call_queue",
    "*.test_shutdown_no_wait": "_executor_manager_thread, _call_queue",
    "*.test_python_finalization_error": "which of its threads is the second to start",
}
"""By `Class.test`, with wildcards as in the shell."""


def reason_against(name: str) -> str:
    """The reason why this test cannot hold, or nothing."""
    return next((why for pattern, why in EXCEPTIONS.items() if fnmatch(name, pattern)), "")
