"""Runs the interpreter's own tests of its pools, with our doors in place of them. A program.

python -m tests.doors.interpreters_suite SUITE METHOD DOORS [TEST...]

SUITE is `pool` or `executor`, METHOD a start method. DOORS is `doors`, which puts our classes under
the standard names, or `installed`, which calls `poolwise.install()` and leaves every name as it
is. TESTs are left out, named `Class.test` with wildcards as in the shell. Prints each test that
fails, with its traceback, and last how many ran and failed; on stderr, what runs.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.dummy
import multiprocessing.managers
import multiprocessing.pool
import sys
import unittest
from collections.abc import Iterator
from concurrent import futures
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType

import poolwise
from poolwise.pool import ThreadPool

SUITE, METHOD, DOORS, *LEFT_OUT = sys.argv[1:]

HOME = str(Path(poolwise.__file__).parents[1])
FIRST_LINE = f"import sys; sys.path.append({HOME!r}); import poolwise; poolwise.install()\n"
"""Programs that the tests start in interpreters of their own get our doors as well."""

EXECUTOR_PARTS = ("as_completed", "deadlock", "init", "process_pool", "shutdown", "wait")


def put_doors_in_place() -> None:
    """Make the standard names lead to our doors."""
    if DOORS == "installed":
        poolwise.install()
        return
    multiprocessing.Pool = multiprocessing.pool.Pool = poolwise.Pool
    multiprocessing.dummy.Pool = multiprocessing.pool.ThreadPool = ThreadPool
    futures.ProcessPoolExecutor = poolwise.ProcessPoolExecutor
    proxy = multiprocessing.managers.PoolProxy
    multiprocessing.managers.SyncManager.register("Pool", poolwise.Pool, proxy)


def reach_programs() -> None:
    """Let the programs that tests run with `-c` call `poolwise.install()` first."""
    from test.support import script_helper

    def reaching(run):
        def run_ours(*words, **options):
            at = words.index("-c") + 1 if "-c" in words else None
            return run(*(FIRST_LINE * (i == at) + w for i, w in enumerate(words)), **options)

        return run_ours

    script_helper.assert_python_ok = reaching(script_helper.assert_python_ok)


def load_pool_tests(module: ModuleType) -> None:
    """Put the tests of `multiprocessing.Pool` into ``module``, as the interpreter's own does."""
    from test import _test_multiprocessing as tests

    tests.install_tests_in_module_dict(vars(module), METHOD)
    tests.PRELOAD = [__name__]
    for name, value in list(vars(module).items()):
        is_test = isinstance(value, type) and issubclass(value, unittest.TestCase)
        if is_test and "Pool" not in name and "Initializers" not in name:
            delattr(module, name)


def load_executor_tests(module: ModuleType) -> None:
    """Put the tests of `concurrent.futures` that make process pools into ``module``."""
    import test.test_concurrent_futures as tests

    parts = [tests]
    if hasattr(tests, "__path__"):
        names = [f"{tests.__name__}.test_{part}" for part in EXECUTOR_PARTS]
        parts = [__import__(name, fromlist="*") for name in names]
        module.setUpModule = parts[0].setUpModule
    for part in parts:
        for name, value in vars(part).items():
            if name.endswith("Test") and getattr(value, "ctx", None) == METHOD:
                setattr(module, name, value)


class Outcomes(unittest.TestResult):
    """Tells of each failure as it happens."""

    def startTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        super().startTest(test)
        print(name_of(test), end=" ", file=sys.stderr, flush=True)  # noqa: T201 - for who waits

    def addError(self, test: unittest.TestCase, err) -> None:  # noqa: N802 - likewise
        super().addError(test, err)
        self.tell(test, self.errors)

    def addFailure(self, test: unittest.TestCase, err) -> None:  # noqa: N802 - likewise
        super().addFailure(test, err)
        self.tell(test, self.failures)

    def tell(self, test: unittest.TestCase, told: list[tuple[unittest.TestCase, str]]) -> None:
        print(f"FAILED {name_of(test)}: {told[-1][1]}", flush=True)  # noqa: T201 - its product


def name_of(test: unittest.TestCase) -> str:
    """The class and the method."""
    return ".".join(test.id().split(".")[-2:])


def wanted(tests: unittest.TestSuite) -> Iterator[unittest.TestCase]:
    """The tests in ``tests``, but for those left out."""
    for test in tests:
        if isinstance(test, unittest.TestSuite):
            yield from wanted(test)
        elif not any(fnmatch(name_of(test), left_out) for left_out in LEFT_OUT):
            yield test


put_doors_in_place()
reach_programs()
(load_pool_tests if SUITE == "pool" else load_executor_tests)(sys.modules[__name__])

if __name__ == "__main__":
    outcomes = Outcomes()
    loaded = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    unittest.TestSuite(wanted(loaded)).run(outcomes)
    failed = len(outcomes.errors) + len(outcomes.failures)
    print(f"{outcomes.testsRun} run, {failed} failed")  # noqa: T201 - its product
