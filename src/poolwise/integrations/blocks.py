"""Common part of tables: their rows travel in blocks, and errors are told where they happened."""

from __future__ import annotations

from math import ceil


def slice_rows(rows: int, workers: int, per_worker: int = 32) -> list[slice]:
    """Slices of a table of so many rows.

    :param per_worker: slices for each worker, as pools need them for balance. No benchmark found
        the number.
    """
    size = max(1, ceil(rows / (per_worker * workers)))
    return [slice(at, at + size) for at in range(0, rows, size)]


def add_note(error: Exception, text: str) -> None:
    """Add a note, as Python 3.11 does and shows it."""
    error.__notes__ = [*getattr(error, "__notes__", ()), text]  # type: ignore[attr-defined]
