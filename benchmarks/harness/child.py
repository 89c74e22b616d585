"""Runs in the child: opens one entrant and answers the host's requests for turns, a JSON line each.

    python -c "from benchmarks.harness.child import main; main()" CLAIM ENTRANT-NUMBER FD

Started with -c, so that workers which import their parent's main module find none.
"""

from __future__ import annotations

import json
import socket
import sys
import traceback
from importlib import import_module
from typing import TYPE_CHECKING, Any

from benchmarks.harness.model import WARM_ITEMS

if TYPE_CHECKING:
    from benchmarks.harness.model import Claim, Entrant


class Loads:
    """Builds a case's load once, and forgets the case before it: loads may be large."""

    def __init__(self, claim: Claim, portion: float) -> None:
        self._claim = claim
        self._portion = portion
        self._case: str | None = None
        self._load: Any = None

    def of(self, case: str) -> Any:
        if case != self._case:
            self._load = None
            load = self._claim.cases[case]()
            if self._portion < 1.0:
                load = load[: max(1, int(len(load) * self._portion))]
            self._case, self._load = case, load
        return self._load


def take_turn(claim: Claim, entrant: Entrant, pool: Any, load: Any) -> float:
    if entrant.warm is None:
        entrant.run(pool, load[:WARM_ITEMS])
    else:
        entrant.warm(pool, load)
    value, results = claim.measure(lambda load: entrant.run(pool, load), load)
    claim.check(load, results)
    return value


def serve(claim: Claim, entrant: Entrant, host: Any) -> None:
    def tell(**answer: object) -> None:
        host.write(json.dumps(answer) + "\n")
        host.flush()

    try:
        loads = Loads(claim, entrant.portion)
        with entrant.open() as pool:
            tell(ready=True)
            for line in host:
                tell(value=take_turn(claim, entrant, pool, loads.of(json.loads(line))))
    except ModuleNotFoundError as error:
        # A package that is absent is skipped; one that is broken inside is not.
        absent = error.name is not None and "." not in error.name
        tell(**({"missing": error.name} if absent else {"error": f"ModuleNotFoundError: {error}"}))
    except Exception as error:
        traceback.print_exc()
        text = str(error).strip().split("\n")[0][:160]
        tell(error=f"{type(error).__name__}: {text}")


def main() -> None:
    name, number, fd = sys.argv[-3:]
    claim = import_module(f"benchmarks.{name}").CLAIM
    with socket.socket(fileno=int(fd)) as connection:
        connection.set_inheritable(False)
        serve(claim, claim.entrants[int(number)], connection.makefile("rw"))
