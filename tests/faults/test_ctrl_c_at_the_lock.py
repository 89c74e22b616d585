"""Ctrl-C in the very moment in which the main thread has taken the pool's lock."""

from __future__ import annotations

import signal

import pytest

import poolwise

LIMIT_S = 20
CALLS = {
    "map": lambda pool: pool.map(abs, [-1]),
    "apply_async": lambda pool: pool.apply_async(abs, (-1,)).get(),
    "imap": lambda pool: list(pool.imap(abs, iter([-1]))),
    "report": lambda pool: pool.report(),
    "terminate": lambda pool: pool.terminate(),
}


class Struck:
    """A lock that sends this process one SIGINT right after it was taken."""

    def __init__(self, lock) -> None:
        self._lock = lock
        self._strikes = 1
        self.release, self.locked = lock.release, lock.locked

    def acquire(self, *args, **kwargs):
        is_taken = self._lock.acquire(*args, **kwargs)
        if is_taken and self._strikes:
            self._strikes = 0
            signal.raise_signal(signal.SIGINT)
        return is_taken


@pytest.mark.parametrize("call", CALLS)
def test_the_lock_is_given_back(call):
    pool = poolwise.Pool(1)
    pool.map(abs, [1])
    leader = pool._engine._leader
    leader._lock = Struck(leader._lock)
    with pytest.raises(KeyboardInterrupt):
        CALLS[call](pool)
    if call != "terminate":
        assert pool.apply_async(abs, (-2,)).get(LIMIT_S) == 2
    pool.terminate()
    assert pool.statistics()["workers"] == 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
