"""The account of every case balances: to half a percent, on a quiet machine and on a busy one."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from tests.doctor.programs import observe_script

CASES = sorted(
    path
    for path in (Path(__file__).parent / "cases").glob("*.py")
    if path.stem not in {"__init__", "effort"}
)


SAMPLED = 8
"""One case in so many is tried with the other tests, each by `scripts/test --exhaustive`."""


def needs(case: Path) -> list[str]:
    """The packages that a case says it needs."""
    lines = case.read_text(encoding="utf-8").splitlines()
    (line, *_) = [each for each in lines if each.startswith(":needs:")] or [""]
    return line.removeprefix(":needs:").replace(",", " ").split()


@pytest.mark.slow
@pytest.mark.parametrize(
    "case",
    [
        case if at % SAMPLED == 0 else pytest.param(case, marks=pytest.mark.exhaustive)
        for at, case in enumerate(CASES)
    ],
    ids=lambda path: path.stem,
)
def test_every_worker_second_and_cpu_second_has_a_name(case, tmp_path):
    for package in needs(case):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    _, evidence = observe_script(tmp_path, str(case))
    assert evidence.is_attached
    assert evidence.troubles == []
    assert evidence.pools, sys.executable
    for pool in evidence.pools:
        assert pool.identity == pytest.approx(1, abs=0.005)
        assert sum(pool.account.values()) == pytest.approx(pool.slots * pool.region_s)
