"""Where progress is shown: in a terminal, as lines in a log, in the cell of a notebook."""

from __future__ import annotations

import html
import sys
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from poolwise.report import extras, figures
from poolwise.report.palette import FAIR, PALETTE
from poolwise.report.text.ink import is_terminal

if TYPE_CHECKING:
    from poolwise.options import ProgressKind
    from poolwise.report.live.rows import Row

_FIRST_LINE_S = 2.0
_LONGEST_SILENCE_S = 60.0
_MOST_SQUARES = 16
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
"""What stands beside a bar, from left to right, and its style."""

_BY_WORTH = ("name", "left", "share", "note", "count", "workers", "rate")
"""Where a terminal is narrow, the last of these go first."""


class Face(Protocol):
    """Shows rows; called by one thread at a time."""

    def draw(self, rows: list[Row]) -> None:
        """Show these, and no others of those shown before."""

    def leave(self, key: int, line: str) -> None:
        """A call is over: its row goes, this line stays."""

    def close(self) -> None:
        """Nothing is left to show: give back what was borrowed."""


def choose_face(kind: ProgressKind) -> Face | None:
    """The face for this kind here and now; None where there is nowhere to write."""
    stream = sys.stderr
    if stream is None:
        return None
    if kind == "best" and extras.find_notebook() is not None:
        return Notebook()
    if kind == "best" and is_terminal(stream) and extras.find_rich() is not None:
        console = extras.load_rich().console.Console(file=stream)
        if console.is_terminal and not console.is_dumb_terminal:
            return Terminal(console)
    return Lines(stream)


class Lines:
    """Lines, each some time after the one before, and the longer the later: for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next_s: dict[int, float] = {}

    def draw(self, rows: list[Row]) -> None:
        for row in rows:
            if row.elapsed_s >= self._next_s.setdefault(row.key, _FIRST_LINE_S):
                pause_s = min(_LONGEST_SILENCE_S, max(_FIRST_LINE_S, row.elapsed_s / 2))
                self._next_s[row.key] = row.elapsed_s + pause_s
                self._write(row.line())

    def leave(self, key: int, line: str) -> None:
        self._next_s.pop(key, None)
        self._write(line)

    def close(self) -> None:
        pass

    def _write(self, line: str) -> None:
        self._stream.write(line + "\n")
        self._stream.flush()


class Terminal:
    """Bars at the bottom of a terminal, through rich; what the program prints goes above them.

    Only streams that are the terminal are led through rich, so that ``python script.py > file``
    still writes into the file.
    """

    def __init__(self, console: Any) -> None:
        self._console = console
        self._tasks: dict[int, Any] = {}
        self._widths: dict[str, int] = {}
        self._bars: Any = None

    def draw(self, rows: list[Row]) -> None:
        if self._bars is None:
            if not rows:
                return
            self._bars = self._open()
        for key in self._tasks.keys() - {row.key for row in rows}:
            self._bars.remove_task(self._tasks.pop(key))
        for row in rows:
            words = self._fit(row)
            if row.key not in self._tasks:
                self._tasks[row.key] = self._bars.add_task("", total=None, **words)
            total = None if row.share is None else 1.0
            self._bars.update(self._tasks[row.key], total=total, completed=row.share or 0, **words)
        self._bars.refresh()

    def leave(self, key: int, line: str) -> None:
        task = self._tasks.pop(key, None)
        if not self._tasks:
            self.close()  # erases the last row; the next draw opens again
        elif task is not None:
            self._bars.remove_task(task)
            self._bars.refresh()
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        bars, self._bars = self._bars, None
        if bars is not None:
            bars.stop()

    def _open(self) -> Any:
        progress = extras.load_rich().progress
        work, other = PALETTE["work"].dark, PALETTE["absent"].dark
        bar = progress.BarColumn(
            None, style=other, complete_style=work, finished_style=work, pulse_style=work
        )
        words = [
            progress.TextColumn(f"{{task.fields[{name}]}}", style=style, markup=False)
            for name, style in _COLUMNS.items()
        ]
        bars = progress.Progress(
            words[0],
            bar,
            *words[1:],
            console=self._console,
            auto_refresh=False,
            transient=True,
            expand=True,
            redirect_stdout=is_terminal(sys.stdout),
            redirect_stderr=is_terminal(sys.stderr),
        )
        bars.start()
        return bars

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
        if len(row.busy) > _MOST_SQUARES:
            return f"{sum(row.busy)}/{len(row.busy)} busy"
        return "".join("■" if is_busy else "□" for is_busy in row.busy)


class Notebook:
    """A cell's output that is replaced again and again."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._lines: list[str] = []
        self._output: Any = None

    def draw(self, rows: list[Row]) -> None:
        self._rows = rows
        self._update()

    def leave(self, key: int, line: str) -> None:
        self._rows = [row for row in self._rows if row.key != key]
        self._lines.append(line)
        self._update()

    def close(self) -> None:
        self._output = None

    def _update(self) -> None:
        notebook = extras.find_notebook()
        if notebook is None:
            return
        drawn = notebook.HTML(
            "".join([*map(_write_line, self._lines), *map(_write_row, self._rows)])
        )
        if self._output is None:
            self._output = notebook.display(drawn, display_id=True)
        else:
            self._output.update(drawn)


def _write_line(line: str) -> str:
    return f'<div style="font-family:monospace">{html.escape(line)}</div>'


def _write_row(row: Row) -> str:
    value = "" if row.share is None else f'value="{row.share:.4f}"'
    words = html.escape(row.line())
    return f'<div style="font-family:monospace"><progress {value}></progress> {words}</div>'
