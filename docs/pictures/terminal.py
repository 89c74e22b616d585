"""Prints a saved report as a terminal shows it, as a page of HTML."""

from __future__ import annotations

import io
import sys

from rich.console import Console
from rich.terminal_theme import TerminalTheme

from poolwise.cli.report import read_report
from poolwise.report.text import lay_document
from poolwise.report.text.ink import to_rich
from poolwise.report.text.lines import Sheet

WIDTH = 100
THEME = TerminalTheme((20, 23, 27), (228, 232, 236), [(0, 0, 0)] * 8)
PAGE = """<!doctype html><meta charset="utf-8">
<body style="background:#14171b;color:#e4e8ec;margin:18px">
<pre style="font:14px/1.32 'DejaVu Sans Mono',Menlo,Consolas,monospace">
<code style="font-family:inherit">{code}</code></pre></body>
"""


def main() -> None:
    """Print the page."""
    console = Console(
        record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, color_system="truecolor"
    )
    console.print("[bold]$ python stations.py[/]")
    document = read_report(sys.argv[1]).document()
    console.print(to_rich(lay_document(document, Sheet(WIDTH, has_color=True))), end="")
    print(console.export_html(theme=THEME, code_format=PAGE, inline_styles=True))


if __name__ == "__main__":
    main()
