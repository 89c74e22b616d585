"""Delivery guarantees of a pool for shared memory on its way; ``shared/holding.py`` asks.

A pool keeps its tasks until they are answered, so what they hold cannot go before it arrives, and
it asks a worker to end when all that the worker returned has arrived. Other pools do neither.
"""

from __future__ import annotations

import threading


class _OfThread(threading.local):
    is_guaranteed = False


of_thread = _OfThread()
"""Set ``is_guaranteed`` around pickling: the sender keeps it until it has been received."""

has_delivered_all = False
"""This process ends, and nothing that it sent is still on its way."""
