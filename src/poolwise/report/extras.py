"""The libraries a report is drawn with: optional, found here and nowhere else, on first use."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from poolwise.errors import ExtraMissing

if TYPE_CHECKING:
    from types import ModuleType

_RICH_PARTS = ("console", "progress", "text")


@cache
def find_rich() -> ModuleType | None:
    """The library rich with the parts we use, or None where it is not installed."""
    try:
        for part in _RICH_PARTS:
            import_module(f"rich.{part}")
    except ImportError:
        return None
    return import_module("rich")


def load_rich() -> Any:
    """The library rich.

    :raises ExtraMissing: it is not installed.
    """
    rich = find_rich()
    if rich is None:
        message = "colours in a terminal are drawn with rich, which is not installed"
        raise ExtraMissing(message, "report")
    return rich


def find_notebook() -> ModuleType | None:
    """IPython's ways to show things, if a notebook is what we run in."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or not hasattr(shell, "kernel"):
        return None
    return import_module("IPython.display")


def has_plotly() -> bool:
    """True if pages can be drawn; does not load what draws them."""
    return find_spec("plotly") is not None


def plotly_source() -> str:
    """The JavaScript of plotly, to stand inside a page (4.5 MB).

    :raises ExtraMissing: it is not installed.
    """
    try:
        offline = import_module("plotly.offline")
    except ImportError as error:
        message = "the charts of a page are drawn with plotly, which is not installed"
        raise ExtraMissing(message, "report") from error
    source: str = offline.get_plotlyjs()
    return source
