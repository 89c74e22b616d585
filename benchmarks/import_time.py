"""What an import costs a program that has imported nothing yet."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

from benchmarks.harness.model import Claim, Entrant, Target

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMED = """
import time
start = time.perf_counter()
{}
print(time.perf_counter() - start)
"""


def in_new_interpreter(_: Any, statement: str) -> str:
    code = _TIMED.format(statement)
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout


def printed_seconds(run: Callable[[Any], Any], load: Any) -> tuple[float, Any]:
    printed = run(load)
    return float(printed), printed


def entrant(statement: str, **rest: Any) -> Entrant:
    def run(pool: Any, _: Any) -> str:
        return in_new_interpreter(pool, statement)

    return Entrant(statement, run, warm=lambda *_: None, **rest)


CLAIM = Claim(
    title="time to import, each in an interpreter of its own",
    cases={"import": lambda: ""},
    measure=printed_seconds,
    check=lambda *_: None,
    rounds=21,
    entrants=[
        entrant("from poolwise import Pool"),
        entrant("import poolwise"),
        entrant("from poolwise import ProcessPoolExecutor"),
        entrant("import multiprocessing.pool"),
        entrant("from concurrent.futures import ProcessPoolExecutor"),
        entrant("import loky"),
        entrant("import joblib"),
        entrant("import mpire"),
        entrant("import pebble"),
        entrant("import ray"),
    ],
    targets=[Target("import multiprocessing.pool", 1 / 1.2)],
)
