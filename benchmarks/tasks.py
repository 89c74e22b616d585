"""What the workers run. Imports next to nothing, because every fresh worker pays for it."""

from __future__ import annotations

from itertools import repeat


def same(x: object) -> object:
    return x


def burn(loops: int) -> int:
    """Turn an empty loop: processor time that depends on nothing but its argument."""
    for _ in repeat(None, loops):
        pass
    return loops


def count_modules() -> int:
    import sys

    return len(sys.modules)
