"""Progress of a call, for the displays that pools use."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from poolwise.choose.run import Run
    from poolwise.options import ProgressKind
    from poolwise.telemetry.live import Progress

_numbers = itertools.count(1)


def show(run: Run, kind: ProgressKind) -> Any:
    """Show this call from now on; what is returned is to be closed when it is over."""
    from poolwise.report.live.board import show as show_on_board

    number, began_s = next(_numbers), time.perf_counter()
    return show_on_board(lambda: _look(run, number, time.perf_counter() - began_s), kind)


def _look(run: Run, number: int, elapsed_s: float) -> Progress:
    from poolwise.telemetry.live import Progress

    intake = run.intake
    left = intake.remaining
    done = max(0, intake.taken - len(intake.under_way))
    return Progress(
        job=-number,  # pools count upwards
        function=run.call.name,
        site=None,
        items=None if left is None else intake.taken + left,
        done=done,
        failed=0,
        elapsed_s=elapsed_s,
        item_s=None,
        lanes=(),
        is_over=run.is_over,
        error=None,
    )
