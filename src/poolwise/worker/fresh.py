"""A function whose bound data is large, as each of its tasks sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from poolwise.wire import codec

if TYPE_CHECKING:
    from collections.abc import Callable

    from poolwise.wire.payload import DecodedPayload


class FreshFunction:
    """Rebuilt for every task, so that none sees what another did to the data.

    The data itself stays where it is: what is rebuilt maps it anew, and a page is copied when it is
    written to. That costs some 10 us a task, so it is done only where there are large buffers.
    """

    __slots__ = ("_opened",)

    def __init__(self, opened: DecodedPayload) -> None:
        self._opened = opened

    def __call__(self, *args: Any) -> Any:
        return codec.load_payload(self._opened)(*args)


def load_function(opened: DecodedPayload) -> Callable[..., Any]:
    """The function that arrived in a payload.

    :raises Exception: it cannot be rebuilt here.
    """
    function: Callable[..., Any] = codec.load_payload(opened)
    return FreshFunction(opened) if opened.buffers else function
