"""Items that failed: which, where, of what source item, and what is to become of them."""

from __future__ import annotations

import reprlib
from collections import deque
from collections.abc import Iterator
from typing import Any

from poolwise.pipeline.steps import DROPPED, size_of

_ORIGIN_BYTES = 1024
"""A source item up to this size is kept until its last result is out, to be named if it fails; of
a larger one only its description. No benchmark found it."""

_KEPT = 1000
"""Failures that are kept, of an endless run the last ones."""


class Failure:
    """One item that a stage failed on.

    :param stage: name of the stage.
    :param error: what it raised.
    :param item: what the stage was given (None where that was in another process's hands).
    :param source: the source item that it came from, or its description if it was large.
    :param number: the position of that in the source.
    """

    DROP = DROPPED
    """A handler returns this for an item that shall go no further."""

    __slots__ = ("error", "item", "number", "source", "stage")

    def __init__(
        self, stage: str, error: BaseException, item: Any, source: Any, number: int
    ) -> None:
        self.stage = stage
        self.error = error
        self.item = item
        self.source = source
        self.number = number

    def __repr__(self) -> str:
        return f"<Failure of stage {self.stage!r} on source item {self.number}: {self.error!r}>"


class Failures:
    """The failures of a run, the latest thousand of them; ``count`` is of all."""

    def __init__(self) -> None:
        self.count = 0
        self._kept: deque[Failure] = deque(maxlen=_KEPT)

    def add(self, failure: Failure) -> None:
        """One more."""
        self.count += 1
        self._kept.append(failure)

    def __len__(self) -> int:
        return len(self._kept)

    def __iter__(self) -> Iterator[Failure]:
        return iter(list(self._kept))

    def __getitem__(self, at: int) -> Failure:
        return self._kept[at]

    def __repr__(self) -> str:
        return f"<{self.count} failures: {list(self._kept)[:3]!r}>"


def origin_of(item: Any) -> Any:
    """The source item itself, or how it looks if it is too large to keep."""
    return item if size_of(item) <= _ORIGIN_BYTES else _Described(item)


class _Described:
    """Stands for a large source item: its repr, shortened."""

    def __init__(self, item: Any) -> None:
        try:
            self._text = reprlib.repr(item)
        except Exception:
            self._text = object.__repr__(item)

    def __repr__(self) -> str:
        return self._text


def say_error(error: BaseException) -> str:
    """Text of an error, whose own ``__str__`` may fail."""
    try:
        return str(error)
    except Exception:
        return ""


def add_note(error: BaseException, failure: Failure, advice: str = "") -> None:
    """Say in the traceback which item it was; as ``add_note`` does, which Python 3.10 lacks."""
    try:
        source = reprlib.repr(failure.source)
    except Exception:
        source = object.__repr__(failure.source)
    note = (
        f"in stage {failure.stage!r} of a pipe, on source item {failure.number}: {source}{advice}"
    )
    put_note(error, note)


def put_note(error: BaseException, note: str) -> None:
    """``error.add_note(note)``, once, and on Python 3.10 too."""
    notes = list(getattr(error, "__notes__", ()))
    if note not in notes:
        try:
            setattr(error, "__notes__", [*notes, note])  # noqa: B010 - 3.10 does not know it
        except Exception:  # noqa: S110 - a class may allow no attributes; `failed` has it all the same
            pass
