"""Callers that lead the engine, against a manager thread that always does: one call at a time.

The manager thread is the variant that was not built (`core/README.md` says why): here callers only
follow, and the background thread is told at once of each call.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from benchmarks import peers
from benchmarks.apply_one import by_apply
from benchmarks.harness import units
from benchmarks.harness.check import assert_same
from benchmarks.harness.model import WORKERS, Claim, Entrant, wall_time_per_item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CALLS = 1_000


@contextmanager
def managed_pool() -> Iterator[Any]:
    """A pool whose callers never lead."""
    import poolwise
    from poolwise.core.engine import Engine
    from poolwise.core.leader import PATIENCE_S, Leader, _Follower

    def follow(self: Any, _step: Any, is_done: Callable[[], bool], _until: Any) -> None:
        follower = _Follower(is_done)
        self._followers.append(follower)
        if not is_done():
            follower.wait(PATIENCE_S)
        self._followers.remove(follower)

    def wait(self: Any, is_done: Any, timeout_s: Any = None, real: Any = Engine.wait) -> bool:
        self._is_unseen = True
        self.ensure_background()
        self.wake()
        done: bool = real(self, is_done, timeout_s)
        return done

    def step_unless_wanted(self: Any, step: Any, real: Any = Leader.step_unless_wanted) -> bool:
        waiting, self.waiting_callers = self.waiting_callers, 0
        try:
            stepped: bool = real(self, step)
            return stepped
        finally:
            self.waiting_callers += waiting

    Leader.lead_or_follow = follow  # type: ignore[method-assign]
    Leader.step_unless_wanted = step_unless_wanted  # type: ignore[method-assign]
    Engine.wait = wait  # type: ignore[method-assign]
    with poolwise.Pool(WORKERS) as pool:
        yield pool


CLAIM = Claim(
    title=f"{CALLS:,} calls, one at a time: who steps the engine",
    cases={"apply": lambda: list(range(CALLS))},
    measure=wall_time_per_item,
    unit=units.SECONDS_PER_ITEM,
    check=assert_same,
    entrants=[
        Entrant("callers lead", by_apply, peers.poolwise_pool),
        Entrant("a manager thread", by_apply, managed_pool),
        Entrant("mp.Pool", by_apply, peers.mp_pool),
    ],
)
