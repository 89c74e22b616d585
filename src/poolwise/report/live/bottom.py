"""The last rows of a terminal, kept apart from those in which text scrolls.

Whoever writes to the terminal (this program, a log handler that knew it before, a worker, C code)
writes above, and breaks nothing: the terminal itself scrolls only the rows above (DECSTBM, which
every terminal since the VT100 has; apt shows its progress so). Nothing is hidden, and no stream is
led through here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LEAST_ABOVE = 3
"""Rows that must be left for text: a lower terminal shows fewer rows of ours."""

_SAVE, _RESTORE = "\x1b7", "\x1b8"
_DOWN = "\x1bD"
"""One row down in the same column; on the last one what is above scrolls."""


class Bottom:
    """Rows of ours at the bottom of a terminal.

    :param write: to the terminal, as a whole: what others write must not come in between.
    :param size: columns and rows of the terminal now.
    """

    def __init__(self, write: Callable[[str], None], size: Callable[[], tuple[int, int]]) -> None:
        self._write = write
        self._size = size
        self._height = 0
        self._shown = 0

    @property
    def width(self) -> int:
        """Columns of the terminal now."""
        return self._size()[0]

    def show(self, rows: Sequence[str]) -> None:
        """Show these in place of those shown before."""
        _, height = self._size()
        rows = rows[: max(0, height - LEAST_ABOVE)]
        before = self._leave_old_rows(height) if height != self._height else ""
        before += self._fit_to(len(rows))
        if not rows:
            if before:
                self._write(before)
            return
        top = height - len(rows)
        drawn = "".join(f"{_row(top + at)}{row}" for at, row in enumerate(rows, 1))
        # The region is said anew each time: a program that was run meanwhile may have changed it.
        self._write(f"{before}{_SAVE}{_region(top)}{drawn}{_RESTORE}")

    def clear(self) -> None:
        """Give all rows back."""
        self.show(())

    def _leave_old_rows(self, height: int) -> str:
        """The terminal has another height: what we showed is somewhere else, or gone."""
        shown, before = self._shown, self._height
        self._height, self._shown = height, 0
        if not shown:
            return ""
        erase = f"{_row(before - shown + 1)}\x1b[J" if before < height else ""
        return f"{_SAVE}{erase}{_region()}{_RESTORE}"

    def _fit_to(self, count: int) -> str:
        """Make room for so many rows, or give back those that are too many."""
        more, self._shown = count - self._shown, count
        if more > 0:  # what stands there now scrolls up, and the cursor with it
            return f"{_DOWN * more}\x1b[{more}A"
        top = self._height - count
        erased = "".join(_row(top + at) for at in range(more + 1, 1))
        return f"{_SAVE}{erased}{_region(top if count else None)}{_RESTORE}" if more else ""


def _row(number: int) -> str:
    """Go to this row and erase it."""
    return f"\x1b[{number};1H\x1b[2K"


def _region(rows: int | None = None) -> str:
    """Let so many rows scroll, from the first one on; None: all."""
    return "\x1b[r" if rows is None else f"\x1b[1;{rows}r"
