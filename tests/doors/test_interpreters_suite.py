"""The interpreter's own tests of its pools pass under `poolwise.install()`."""

from __future__ import annotations

import pytest

from tests.suites import cpython

WAYS = [
    "fork",
    *(pytest.param(method, marks=pytest.mark.exhaustive) for method in ("spawn", "forkserver")),
]


@pytest.mark.slow
@pytest.mark.timeout(cpython.LIMIT_S + 60)
@pytest.mark.parametrize("method", WAYS)
@pytest.mark.parametrize("suite", cpython.SUITES)
def test_interpreters_own_tests_pass(suite, method):
    if not cpython.has_tests(suite):
        pytest.skip("this Python was installed without them")
    ended = cpython.run_suite(suite, method)
    assert ended.failures() == {}
    assert sum(outcome == "passed" for outcome, _ in ended.outcomes.values()) > 12
