"""How many of something, as people read it. Durations, sizes and shares: `report.figures`."""

from __future__ import annotations

from poolwise.report import figures


def count(number: float, thing: str) -> str:
    """50,000 messages.

    >>> count(50_000, "message"), count(1, "worker"), count(2, "process")
    ('50,000 messages', '1 worker', '2 processes')
    """
    plural = "es" if thing.endswith("s") else "s"
    return f"{figures.count(number)} {thing}{'' if number == 1 else plural}"
