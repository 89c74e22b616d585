"""The pool whose workers calls share: its workers have a name of their own."""

from __future__ import annotations

from poolwise.backends.choose import Style
from poolwise.choose.pools import WORKER_NAME
from poolwise.pool import Pool


class MapPool(Pool):
    """A pool, whose workers know by their name for whom they work."""

    _style = Style(WORKER_NAME, are_daemons=True, as_cause=Pool._style.as_cause)  # noqa: SLF001
