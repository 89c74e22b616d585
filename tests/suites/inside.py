"""Runs one suite of the interpreter's own tests, and writes down how each test ended. A program.

python -m tests.suites.inside FILE POOLS SUITE METHOD [TEST...]

POOLS is `ours` or `standard`, and is only checked; SUITE is a name of `SUITES`, METHOD a start
method. Without TESTs (`Class.test`) it runs all but those of `exceptions.py`. FILE gets a line of
JSON for each test that is to run, as it starts and as it ends.
"""

from __future__ import annotations

import importlib
import inspect
import json
import multiprocessing.pool
import pkgutil
import sys
import unittest
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.suites.exceptions import reason_against

FILE, POOLS, SUITE, METHOD, *ONLY = sys.argv[1:]


class Written(unittest.TestResult):
    """Writes down of each test "not run", "started", and then "passed" or what else came of it."""

    def __init__(self) -> None:
        super().__init__()
        self.file = Path(FILE).open("a")  # noqa: SIM115 - open for as long as the program runs

    def write(self, test: unittest.TestCase, outcome: str, why: str = "") -> None:
        print(json.dumps([name_of(test), outcome, why]), file=self.file, flush=True)

    def startTest(self, test: Any) -> None:  # noqa: N802 - unittest's name, as all below
        super().startTest(test)
        self.write(test, "started")

    def addSuccess(self, test: Any) -> None:  # noqa: N802
        self.write(test, "passed")

    def addSkip(self, test: Any, reason: str) -> None:  # noqa: N802
        self.write(test, "skipped", reason)

    def addExpectedFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        self.write(test, "passed")

    def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
        self.write(test, "failed", "it was expected to fail")

    def addError(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addError(test, err)
        self.write(test, "failed", self.errors[-1][1])

    def addFailure(self, test: Any, err: Any) -> None:  # noqa: N802
        super().addFailure(test, err)
        self.write(test, "failed", self.failures[-1][1])

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        if err is not None:
            self.addError(test, err)


def name_of(test: unittest.TestCase) -> str:
    """The class and the method; or what unittest says of one that could not be set up."""
    return ".".join(test.id().split(".")[-2:])


def pool_classes() -> Iterator[type]:
    """Those in `_test_multiprocessing` that speak of pools, made as its own test modules do."""
    tests = importlib.import_module("test._test_multiprocessing")
    module = vars(sys.modules[__name__])
    tests.install_tests_in_module_dict(module, METHOD)
    tests.PRELOAD = [__name__]
    for value in list(module.values()):
        if isinstance(value, type) and issubclass(value, unittest.TestCase):
            as_written = value.__mro__[1]  # what it makes of this one has no source of its own
            if "pool" in inspect.getsource(as_written).lower():
                yield value


def process_pool_classes() -> Iterator[type]:
    """As `install()` leaves ThreadPool alone, so do we."""
    return (found for found in pool_classes() if not found.__name__.startswith("WithThreads"))


def thread_pool_classes() -> Iterator[type]:
    """With our ThreadPool in the place of the standard one."""
    if POOLS == "ours":
        from poolwise.pool import ThreadPool

        multiprocessing.pool.ThreadPool = ThreadPool
    return (found for found in pool_classes() if found.__name__.startswith("WithThreads"))


def executor_classes() -> Iterator[type]:
    """Those that make a `ProcessPoolExecutor`."""
    return classes_of("test.test_concurrent_futures", "ctx")


def main_classes() -> Iterator[type]:
    """Programs of every form (script, folder, zip file, `-m`) that make a `Pool`."""
    return classes_of("test.test_multiprocessing_main_handling", "start_method")


def classes_of(name: str, attribute: str) -> Iterator[type]:
    """The tests of a module, or of a package, of which the attribute is our start method."""
    for module in with_parts(importlib.import_module(name)):
        for value in vars(module).values():
            is_test = isinstance(value, type) and issubclass(value, unittest.TestCase)
            if is_test and getattr(value, attribute, None) == METHOD:
                yield value


def with_parts(module: ModuleType) -> Iterator[ModuleType]:
    """The module, and if it is a package all that can be imported here."""
    yield module
    for part in pkgutil.iter_modules(getattr(module, "__path__", ())):
        try:
            yield importlib.import_module(f"{module.__name__}.{part.name}")
        except unittest.SkipTest:
            pass  # says that it is not for this interpreter


def wanted(tests: unittest.TestSuite, written: Written) -> Iterator[unittest.TestCase]:
    """The tests to run; notes those that are left out."""
    for test in tests:
        assert isinstance(test, unittest.TestCase)
        why_not = "" if ONLY else reason_against(name_of(test))
        if why_not:
            written.write(test, "left out", why_not)
        elif not ONLY or name_of(test) in ONLY:
            written.write(test, "not run")
            yield test


SUITES = {
    "pool": process_pool_classes,
    "executor": executor_classes,
    "main": main_classes,
    "threads": thread_pool_classes,
}

CLASSES = list(SUITES[SUITE]())  # in workers too: they find functions of `__main__` here

if __name__ == "__main__":
    result = Written()
    is_ours = "poolwise" in sys.modules and sys.modules["poolwise.dropin"].is_installed()
    assert is_ours == (POOLS == "ours")
    load = unittest.defaultTestLoader.loadTestsFromTestCase
    found = [test for each in CLASSES for test in wanted(load(each), result)]
    unittest.TestSuite(found).run(result)
