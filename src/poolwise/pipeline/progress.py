"""Progress of a run, a row a stage, on standard error."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from poolwise.pipeline.flow import Outlet
from poolwise.quantities import say_bytes

if TYPE_CHECKING:
    from poolwise.options import ProgressKind
    from poolwise.pipeline.flow import Stage
    from poolwise.pipeline.run import Run

_EVERY_NS = 500_000_000
_LINES_EVERY_NS = 10_000_000_000
"""A terminal is painted anew twice a second; where there is none a line comes every ten."""


class Rows:
    """Paints a run's stages over each other in a terminal, or writes a line now and then."""

    def __init__(self, run: Run, kind: ProgressKind) -> None:
        self._run = run
        self._is_painted = kind == "best" and sys.stderr.isatty()
        self._every_ns = _EVERY_NS if self._is_painted else _LINES_EVERY_NS
        self._count = 0
        self._length = run.source.length
        self.next_ns = time.perf_counter_ns() + self._every_ns

    def tick(self, now_ns: int) -> None:
        """Show how far it is, if that is due."""
        if now_ns >= self.next_ns:
            self.next_ns = now_ns + self._every_ns
            self._show(now_ns)

    def end(self) -> None:
        """Show the end."""
        self._show(time.perf_counter_ns())

    def _show(self, now_ns: int) -> None:
        seconds = (now_ns - self._run.begun_ns) / 1e9
        with self._run as run:
            rows = [self._row(stage, seconds) for stage in run.flow.stages if stage.host is None]
        if self._is_painted:
            up = f"\x1b[{self._count}A" if self._count else ""
            text = up + "".join(f"\x1b[2K{row}\n" for row in rows)
            self._count = len(rows)
        else:
            text = f"{seconds:.0f} s: " + ", ".join(" ".join(row.split()) for row in rows) + "\n"
        try:
            sys.stderr.write(text)
            sys.stderr.flush()
        except (OSError, ValueError):
            pass  # nobody looks any more

    def _row(self, stage: Stage, seconds: float) -> str:
        waiting = len(stage.waiting)
        if isinstance(stage, Outlet):
            return f"{'results':16} {stage.count_read:>9}  {waiting} waiting"
        name = "source" if stage.spec is None else stage.spec.name
        done = stage.counts.done
        if stage.spec is None:
            whole = "" if self._length is None else f" of {self._length}"
            return f"{name:16} {done:>9}{whole}  {done / seconds:.0f}/s"
        held = say_bytes(sum(token.size for token in stage.waiting)) if waiting else ""
        busy = f"{stage.running}/{stage.width}" if stage.width else ""
        return f"{name:16} {done:>9}  {done / seconds:.0f}/s  {busy} busy  {waiting} waiting {held}"
