"""The line on the terminal while a program hangs: what stands still, and why."""

from __future__ import annotations

import time
from typing import Any

from poolwise.doctor.gather.standstill import find
from poolwise.doctor.records.pools import assemble
from poolwise.doctor.records.store import UnreadableError, read
from poolwise.doctor.rules.pw029_call_never_ended import say_why
from poolwise.report import figures


def make_line(directory: str, known: dict[str, Any]) -> str | None:
    """One sentence on the call that stands still; None if no call does.

    :param known: what `watch.Watch.record` gives.
    """
    try:
        run = read(directory)
    except (OSError, UnreadableError):
        return None
    run.launch["watch"] = {**known, "stopped_ns": None, "stopped_by": None, "is_live": True}
    still = find(run, assemble(run), time.perf_counter_ns())
    if still is None:
        return None
    lasted = figures.seconds(float(round(still.lasted_s)))
    return f"no task has ended for {lasted}: {say_why(still)}; press Ctrl-C for the report"
