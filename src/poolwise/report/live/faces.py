"""Displays of progress: in a terminal, as lines in a log, in the cell of a notebook."""

from __future__ import annotations

import html
import sys
from typing import TYPE_CHECKING, Any, Protocol, TextIO

from poolwise.report import extras
from poolwise.report.text.ink import is_terminal

if TYPE_CHECKING:
    from poolwise.options import ProgressKind
    from poolwise.report.live.rows import Row

_FIRST_LINE_S = 2.0


class Face(Protocol):
    """Shows rows; called by one thread at a time."""

    def draw(self, rows: list[Row]) -> None:
        """Show these, and no others of those shown before."""

    def leave(self, key: int, line: str) -> None:
        """A call is over: its row goes, this line stays."""

    def close(self) -> None:
        """Give back what was borrowed: nothing is left to show."""


def choose_face(kind: ProgressKind) -> Face | None:
    """The face for this kind here and now; None where there is nowhere to write."""
    stream = sys.stderr
    if stream is None:
        return None
    if kind == "best" and extras.find_notebook() is not None:
        return Notebook()
    if kind == "best" and is_terminal(stream) and extras.find_rich() is not None:
        from poolwise.report.live.terminal import open_terminal

        terminal = open_terminal(stream)
        if terminal is not None:
            return terminal
    return Lines(stream)


class Lines:
    """Lines, each some time after the one before, and the longer the later: for logs."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._next_s: dict[int, float] = {}

    def draw(self, rows: list[Row]) -> None:
        for row in rows:
            if row.elapsed_s >= self._next_s.setdefault(row.key, _FIRST_LINE_S):
                pause_s = min(60.0, max(_FIRST_LINE_S, row.elapsed_s / 2))
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
