"""Puts probes into other people's code: methods replaced in place, connections listened to."""

from . import recorder
from .clocks import now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Method = Callable[..., Any]


def replace(owner: "Any", name: str, make: "Callable[[Method], Method]") -> None:
    """Put `make(original)` in the place of a function, under the original's name.

    A spawned child without probes finds the original under that name: functions travel by name.
    """
    original = getattr(owner, name)
    ours = make(original)
    for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
        setattr(ours, attribute, getattr(original, attribute))
    ours.__wrapped__ = original  # type: ignore[attr-defined]
    setattr(owner, name, ours)


def plain(method: "Method") -> "Method":
    """The original of a bound method that `replace` has replaced."""
    original = getattr(method, "__wrapped__", None)
    owner = getattr(method, "__self__", None)
    return method if original is None or owner is None else original.__get__(owner)


def hide(error: BaseException) -> None:
    """Take the caller's own frame, where `error` was just caught, out of its traceback.

    To be followed by a bare `raise`. Python 3.10 raises with the traceback it had before.
    """
    if error.__traceback__ is not None:
        error.__traceback__ = error.__traceback__.tb_next


def attempt(where: str, probe: "Callable[[], object]") -> None:
    """Install a probe; if that fails, note it, and the program goes on without the probe."""
    try:
        probe()
    except Exception as error:
        recorder.trouble(where, error)


def watch_end(
    original: "Method", note: "Callable[[BaseException, tuple[Any, ...]], None]"
) -> "Method":
    """Wrap a function: `note(error, arguments)` is called if it ends with an error."""

    def watched(*args: "Any", **options: "Any") -> "Any":
        try:
            return original(*args, **options)
        except BaseException as error:
            hide(error)
            try_to_note(error, args)
            raise

    def try_to_note(error: BaseException, args: "tuple[Any, ...]") -> None:
        attempt("watch_end", lambda: note(error, args))

    return watched


class Probe:
    """Stands in for one attribute of somebody's object, while it is switched on."""

    __slots__ = ("_name", "_original", "_owner", "_was_own", "is_on")

    def __init__(self, owner: "Any", name: str) -> None:
        self._owner = owner
        self._name = name
        self._was_own = name in getattr(owner, "__dict__", ())
        self._original = getattr(owner, name, None)
        self.is_on = False

    def switch(self, *, on: bool) -> None:
        """Take the attribute's place, or give it back."""
        if on is self.is_on or self._original is None:
            return
        self.is_on = on
        if on:
            setattr(self._owner, self._name, self.stand())
        elif self._was_own:
            setattr(self._owner, self._name, self._original)
        else:
            delattr(self._owner, self._name)

    def stand(self) -> "Any":
        """The object that takes the attribute's place."""
        raise NotImplementedError


class Reads(Probe):
    """Times at which the parts of the last message came in over a connection.

    Stands in the connection's `_recv`, which reads the header first, then the payload. `begun`:
    reading began; `header`: the message was there; `payload`: all of it. Zero where the platform's
    connection works otherwise. Who reads sets `header` to 0 before.
    """

    __slots__ = ("begun", "header", "payload", "size")

    def __init__(self, connection: "Any") -> None:
        super().__init__(connection, "_recv")
        self.begun = self.header = self.payload = self.size = 0
        self.switch(on=True)

    def stand(self) -> "Any":
        """Reads as the connection does, and looks at the clock."""
        return self._receive

    def _receive(self, size: int, *rest: "Any") -> "Any":
        if self.header:
            buffer = self._original(size, *rest)  # type: ignore[misc]
            self.size = size
            self.payload = now()
            return buffer
        self.begun = now()
        buffer = self._original(size, *rest)  # type: ignore[misc]
        self.header = self.payload = now()
        return buffer


class Writes(Probe):
    """Time at which the last message went out over a connection; its bytes, and all so far.

    Between threads there is no connection (None), and nothing is pickled. `counted` is the part of
    `total` that somebody has taken account of.
    """

    __slots__ = ("begun", "counted", "size", "total")

    def __init__(self, connection: "Any") -> None:
        super().__init__(connection, "_send_bytes")
        self.begun = self.size = self.total = self.counted = 0
        self.switch(on=True)

    def stand(self) -> "Any":
        """Writes as the connection does, and looks at the clock."""
        return self._send

    def _send(self, buffer: "Any") -> None:
        self.begun = now()
        self.size = len(buffer)
        self.total += self.size
        self._original(buffer)  # type: ignore[misc]


class LockTimes(Probe):
    """Stands for a queue's write lock: when it was wanted (pickling was over) and when ours."""

    __slots__ = ("got", "wanted")

    def __init__(self, queue: "Any") -> None:
        super().__init__(queue, "_wlock")
        self.wanted = self.got = 0
        self.switch(on=True)

    def stand(self) -> "Any":
        """Locks as the lock does, and looks at the clock."""
        return self

    def __enter__(self) -> "Any":
        self.wanted = now()
        entered = self._original.__enter__()  # type: ignore[union-attr]
        self.got = now()
        return entered

    def __exit__(self, *error: object) -> "Any":
        return self._original.__exit__(*error)  # type: ignore[union-attr]

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._original, name)


class Stand:
    """Stands in place of the queue of a worker's unmodified loop: our `get` and `put`."""

    def __init__(self, queue: "Any", **methods: "Method") -> None:
        self._queue = queue
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._queue, name)
