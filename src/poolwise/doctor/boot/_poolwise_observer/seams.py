"""How probes get into other people's code: methods replaced in place, connections listened to."""

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


class Reads:
    """When the parts of the last message came in over a connection.

    Stands in the connection's `_recv`, which reads the header first, then the payload. `begun`:
    reading began; `header`: the message was there; `payload`: all of it. Zero where the platform's
    connection works otherwise. Who reads sets `header` to 0 before.
    """

    __slots__ = ("_read", "begun", "header", "payload", "size")

    def __init__(self, connection: "Any") -> None:
        self.begun = self.header = self.payload = self.size = 0
        self._read = getattr(connection, "_recv", None)
        if self._read is not None:
            connection._recv = self._receive

    def _receive(self, size: int, *rest: "Any") -> "Any":
        if self.header:
            buffer = self._read(size, *rest)  # type: ignore[misc]
            self.size = size
            self.payload = now()
            return buffer
        self.begun = now()
        buffer = self._read(size, *rest)  # type: ignore[misc]
        self.header = self.payload = now()
        return buffer


class Writes:
    """When the last message went out over a connection, after pickling; its bytes, and all so far.

    Between threads there is no connection (None), and nothing is pickled.
    """

    __slots__ = ("_write", "begun", "size", "total")

    def __init__(self, connection: "Any") -> None:
        self.begun = self.size = self.total = 0
        if connection is not None:
            self._write = connection._send_bytes
            connection._send_bytes = self._send

    def _send(self, buffer: "Any") -> None:
        self.begun = now()
        self.size = len(buffer)
        self.total += self.size
        self._write(buffer)


class LockTimes:
    """Stands for a queue's write lock: when it was wanted (pickling was over) and when ours."""

    __slots__ = ("_lock", "got", "wanted")

    def __init__(self, lock: "Any") -> None:
        self._lock = lock
        self.wanted = self.got = 0

    def __enter__(self) -> "Any":
        self.wanted = now()
        entered = self._lock.__enter__()
        self.got = now()
        return entered

    def __exit__(self, *error: object) -> "Any":
        return self._lock.__exit__(*error)

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._lock, name)


class Stand:
    """What a worker's unmodified loop sees in place of its queue: our `get` and `put`."""

    def __init__(self, queue: "Any", **methods: "Method") -> None:
        self._queue = queue
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> "Any":
        return getattr(self._queue, name)
