"""A seat is where the calls of one lane run, and what may come of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from poolwise import errors
    from poolwise.worker.remote import Blob


class Future(Protocol):
    """Future of a call, as every engine gives one; the standard library's is its model."""

    def add_done_callback(self, fn: Callable[[Any], object], /) -> object: ...

    def cancel(self) -> Any: ...

    def result(self) -> Any: ...


class Seat(ABC):
    """Base of the places on one engine.

    ``is_own`` says that all calls run in the same worker, which runs nothing else.
    """

    is_own = True
    generation = 0
    """Number of the session: a handle from :meth:`put` is good for seats of the same one."""

    @abstractmethod
    def submit(self, function: Callable[..., Any], *args: Any) -> Future:
        """Begin a call.

        :raises Exception: the engine takes no more calls.
        """

    def put(self, blob: Blob) -> Any:
        """Handle to give :meth:`submit` for something large that many calls need."""
        return blob

    def find_death(self, error: BaseException) -> errors.Death | None:
        """End of the worker, if that is what a call's error says."""
        return None

    def leave(self, *, kill: bool) -> None:  # noqa: B027 - there may be nothing to end
        """End the worker, if it is the lane's own; after what it runs, or at once."""
