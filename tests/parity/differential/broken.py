"""Our pool with a fault put in on purpose: the differential test must find each.

What a class is called says what is wrong with it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import Any

from poolwise.pool import Pool

FOR_EVER_S = 1000.0

_held: list[Any] = []


class SwapsValues(Pool):
    def map(self, *args: Any, **kwargs: Any) -> Any:
        values = super().map(*args, **kwargs)
        values[:2] = reversed(values[:2])
        return values


class LosesTheLast(Pool):
    def imap(self, *args: Any, **kwargs: Any) -> Any:
        return _WithoutLast(super().imap(*args, **kwargs))


class PicklesLate(Pool):
    def imap(self, func: Any, iterable: Any, *args: Any, **kwargs: Any) -> Any:
        return super().imap(func, list(iterable), *args, **kwargs)


class RaisesAnother(Pool):
    def apply(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().apply(*args, **kwargs)
        except ValueError as error:
            raise RuntimeError(*error.args) from error


class ForgetsCallbacks(Pool):
    def apply_async(self, func: Any, args: Any = (), kwds: Any = None, **_: Any) -> Any:
        return super().apply_async(func, args, kwds)


class CallsBackTwice(Pool):
    def apply_async(self, *args: Any, callback: Any = None, **kwargs: Any) -> Any:
        def twice(value: Any) -> None:
            callback(value)
            callback(value)

        return super().apply_async(*args, callback=callback and twice, **kwargs)


class RunsTwice(Pool):
    def map(self, *args: Any, **kwargs: Any) -> Any:
        super().map(*args, **kwargs)
        return super().map(*args, **kwargs)


class TakesMoreWhenClosed(Pool):
    def close(self) -> None:
        """Forget to close."""


class HangsAtTheEnd(Pool):
    def join(self) -> None:
        threading.Event().wait(FOR_EVER_S)


class LeavesAThread(Pool):
    def join(self) -> None:
        super().join()
        threading.Thread(target=threading.Event().wait, args=(FOR_EVER_S,), daemon=True).start()


class LeavesDescriptors(Pool):
    def join(self) -> None:
        super().join()
        os.pipe()


class LeavesAProcess(Pool):
    def join(self) -> None:
        super().join()
        if not os.fork():
            threading.Event().wait(FOR_EVER_S)


class KeepsItsInput(Pool):
    def imap(self, func: Any, iterable: Any, *args: Any, **kwargs: Any) -> Any:
        _held.append(iterable)
        return super().imap(func, (item for item in iterable), *args, **kwargs)


class HangsAtExit(Pool):
    def join(self) -> None:
        super().join()
        threading.Thread(target=threading.Event().wait, args=(FOR_EVER_S,)).start()


class _WithoutLast:
    """An iterator that ends before its last value."""

    def __init__(self, values: Iterator[Any]) -> None:
        self._values = values
        self._next = next(values, self)

    def __next__(self) -> Any:
        value, self._next = self._next, next(self._values, self)
        if self._next is self:
            raise StopIteration
        return value


BROKEN: dict[str, type[Pool]] = {
    kind.__name__: kind
    for kind in (
        SwapsValues,
        LosesTheLast,
        PicklesLate,
        RaisesAnother,
        ForgetsCallbacks,
        CallsBackTwice,
        RunsTwice,
        TakesMoreWhenClosed,
        HangsAtTheEnd,
        LeavesAThread,
        LeavesDescriptors,
        LeavesAProcess,
        KeepsItsInput,
        HangsAtExit,
    )
}
