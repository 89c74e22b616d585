"""Counts, as people read them. Durations, sizes and shares: `report.figures`."""

from __future__ import annotations

import signal

from poolwise.report import figures


def count(number: float, thing: str) -> str:
    """50,000 messages.

    >>> count(50_000, "message"), count(1, "worker"), count(2, "process")
    ('50,000 messages', '1 worker', '2 processes')
    """
    plural = "es" if thing.endswith("s") else "s"
    return f"{figures.count(number)} {thing}{'' if number == 1 else plural}"


def ending(code: int) -> str:
    """The end of a process in words, from its exit code as `subprocess` gives it.

    >>> ending(3), ending(-11), ending(-99)
    ('exit code 3', 'SIGSEGV', 'signal 99')
    """
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
