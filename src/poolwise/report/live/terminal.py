"""Bars at the bottom of a terminal, drawn by rich."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, TextIO

from poolwise.report import extras, figures
from poolwise.report.live.bottom import LEAST_ABOVE, Bottom
from poolwise.report.palette import FAIR, PALETTE

if TYPE_CHECKING:
    from poolwise.report.live.rows import Row

_NARROWEST_BAR = 12

_COLUMNS = {
    "name": "bold",
    "share": PALETTE["work"].dark,
    "count": "",
    "rate": "dim",
    "left": "",
    "workers": PALETTE["work"].dark,
    "note": FAIR.dark,
}
"""Columns beside a bar, from left to right, and their styles."""

_BY_WORTH = ("name", "left", "share", "note", "count", "workers", "rate")
"""Columns by worth: where a terminal is narrow, the last of these go first."""


def open_terminal(stream: TextIO) -> Terminal | None:
    """The terminal that a stream is; None where it cannot show rows of ours."""
    console = extras.load_rich().console.Console(file=stream)
    if not console.is_terminal or console.is_dumb_terminal or console.legacy_windows:
        return None
    try:
        fd = stream.fileno()
        columns, rows = os.get_terminal_size(fd)
    except OSError:
        return None
    if rows <= LEAST_ABOVE or columns <= _NARROWEST_BAR:
        return None  # 0: nobody has told the terminal how large it is

    def write(text: str) -> None:
        rest = text.encode(stream.encoding or "utf-8", "replace")
        while rest:
            rest = rest[os.write(fd, rest) :]

    return Terminal(console, Bottom(write, lambda: os.get_terminal_size(fd)))


class Terminal:
    """A row for each call, in the last rows of the terminal; the last words of each stay above."""

    def __init__(self, console: Any, bottom: Bottom) -> None:
        self._console = console
        self._bottom = bottom
        self._widths: dict[str, int] = {}
        self._rows: list[Row] = []

    def draw(self, rows: list[Row]) -> None:
        self._rows = rows
        self._bottom.show(self._write_rows(rows) if rows else ())

    def leave(self, key: int, line: str) -> None:
        self.draw([row for row in self._rows if row.key != key])
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        self.draw([])

    def _write_rows(self, rows: list[Row]) -> list[str]:
        self._console.width = self._bottom.width
        bars = self._make_bars()
        for row in rows:
            total = None if row.share is None else 1.0
            bars.add_task("", total=total, completed=row.share or 0, **self._fit(row))
        with self._console.capture() as drawn:
            self._console.print(bars.get_renderable())
        written: str = drawn.get()
        return written.splitlines()

    def _make_bars(self) -> Any:
        progress = extras.load_rich().progress
        work, other = PALETTE["work"].dark, PALETTE["absent"].dark
        bar = progress.BarColumn(
            None, style=other, complete_style=work, finished_style=work, pulse_style=work
        )
        words = [
            progress.TextColumn(f"{{task.fields[{name}]}}", style=style, markup=False)
            for name, style in _COLUMNS.items()
        ]
        return progress.Progress(
            words[0], bar, *words[1:], console=self._console, auto_refresh=False, expand=True
        )

    def _fit(self, row: Row) -> dict[str, str]:
        """The words of a row that fit beside a bar, in widths that only grow: nothing jumps."""
        words = {
            "name": row.name,
            "share": "" if row.share is None else figures.share(row.share),
            "count": row.count,
            "rate": row.rate,
            "left": row.left,
            "workers": self._draw_workers(row),
            "note": row.note,
        }
        room = self._console.width - _NARROWEST_BAR
        for name in _BY_WORTH:
            value = words[name]
            width = max(self._widths.get(name, 0), len(value))
            room -= width + 1
            if room < 0:
                words[name] = ""
            elif value or width:
                self._widths[name] = width
                words[name] = value.ljust(width) if name in {"name", "note"} else value.rjust(width)
        return words

    @staticmethod
    def _draw_workers(row: Row) -> str:
        """A square for each worker, filled while it is busy; many are only counted."""
        most = 16  # more take the room of the words
        if len(row.busy) > most:
            return f"{sum(row.busy)}/{len(row.busy)} busy"
        return "".join("■" if is_busy else "□" for is_busy in row.busy)
