"""The table of docs/backends.md says what the back ends promise."""

from __future__ import annotations

from pathlib import Path

import pytest

from poolwise.backends.remote.dask import OnClient
from poolwise.backends.remote.executors import OnExecutor, OwnExecutors
from poolwise.backends.remote.ray import OnSession
from poolwise.core.contract import Backend

PAGE = Path(__file__).resolve().parents[2] / "docs" / "backends.md"

ROWS = {
    "`processes`": Backend,
    "`executor`": OwnExecutors,
    "an executor of yours": OnExecutor,
    "Dask": OnClient,
    "Ray": OnSession,
}


@pytest.mark.parametrize("name", ROWS)
def test_the_table_is_what_is_promised(name):
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith(f"| {name}")]
    cells = [cell.strip() for cell in lines[-1].strip("|").split("|")][1:]
    promises = ROWS[name].promises
    assert cells == [
        "yes" if promises.has_initializers else "no",
        "yes" if promises.has_time_limits else "no",
        "yes" if promises.replaces_workers else "no",
        "its task" if promises.outlives_workers else "the executor",
        "yes" if promises.tells_exit_codes else "no",
        "yes" if promises.answers_early else "no",
        "yes" if promises.relays_output else "no",
        "yes" if promises.limits_workers else "no",
    ]
