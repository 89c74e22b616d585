"""The end of values, which must not be taken for what a function raised."""

from __future__ import annotations


class Ended(Exception):
    """There are no more values; a function of the user's own may raise ``StopIteration``."""
