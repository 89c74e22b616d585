"""Whether what is pickled at the moment is kept by its sender until it has been received.

A pool keeps its tasks until they are answered, so what they hold cannot go before it arrives; other
senders drop what they sent (see ``shared/holding.py``, which asks).
"""

from __future__ import annotations

import threading


class _OfThread(threading.local):
    is_on = False


of_thread = _OfThread()
"""Set ``is_on`` around pickling."""
