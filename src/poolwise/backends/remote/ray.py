"""Lanes on actors of a Ray session: one actor is one worker process, which is the lane's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from poolwise import errors
from poolwise.backends.remote.base import Remote
from poolwise.backends.remote.messages import engine_failed
from poolwise.backends.remote.seat import Future, Seat
from poolwise.core.contract import Promises

if TYPE_CHECKING:
    from poolwise.worker.remote import Blob


class _Server:
    """Actor that calls what it is given."""

    def call(self, function: Callable[..., Any], args: tuple[Any, ...], *handles: Any) -> Any:
        """Call a function. Handles of what was put down have become what they stand for."""
        return function(*args, *handles)


class _Handle:
    """Reference to what was put; it travels as an argument of its own, which Ray resolves."""

    __slots__ = ("reference",)

    def __init__(self, reference: Any) -> None:
        self.reference = reference


class _Seat(Seat):
    """One actor.

    :param actor: its handle.
    """

    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray = ray
        self._actor = actor

    def submit(self, function: Callable[..., Any], *args: Any) -> Future:
        if not self._ray.is_initialized():  # a call would begin a session of its own
            message = "Ray has been shut down"
            raise RuntimeError(message)
        handles = [arg.reference for arg in args if type(arg) is _Handle]
        given = args[: len(args) - len(handles)]
        reference = self._actor.call.remote(function, given, *handles)
        future: Future = reference.future()
        return future

    def put(self, blob: Blob) -> Any:
        return _Handle(self._ray.put(blob))

    def find_death(self, error: BaseException) -> errors.Death | None:
        kinds = self._ray.exceptions
        is_dead = isinstance(error, (kinds.RayActorError, kinds.WorkerCrashedError))
        return errors.Death(None, None) if is_dead else None

    def leave(self, *, kill: bool) -> None:
        try:
            if self._ray.is_initialized():
                self._ray.kill(self._actor)
        except Exception:  # noqa: S110 - the session has ended, and the actor with it
            pass


class OnSession(Remote):
    """The back end on the Ray session of this process.

    :param ray: the module.
    :param is_ours: the session was begun for this back end, and ends with it.
    """

    name = "ray"
    promises = Promises(
        answers_early=False, tells_exit_codes=False, relays_output=False, limits_workers=False
    )

    def __init__(self, ray: Any, *, is_ours: bool = False) -> None:
        super().__init__(imports_main=False)
        self._ray = ray
        self._is_ours = is_ours
        self.usual_lanes = self.most_lanes = int(ray.cluster_resources().get("CPU", 0)) or None

    def _make_seat(self, lane: int) -> Seat:
        if not self._ray.is_initialized():
            message = "Ray has been shut down"
            raise RuntimeError(message)
        actor = self._ray.remote(_Server).options(num_cpus=1, max_restarts=0).remote()
        return _Seat(self._ray, actor)

    def _find_failure(self, error: BaseException) -> errors.PoolwiseError | None:
        if isinstance(error, errors.EngineFailed):
            return errors.again(error)
        if not self._ray.is_initialized():
            return engine_failed(
                f"the Ray session that this pool runs on was shut down ({error!r}) before the "
                "pool's work was done. End the pool first, or begin a new session and a new pool",
                error,
            )
        return None

    def _give_up_engine(self) -> None:
        if self._is_ours:
            self._ray.shutdown()


def _import() -> Any:
    try:
        import ray
    except ImportError as error:
        what = "ray is needed for a back end on Ray"
        raise errors.ExtraMissing(what, "ray") from error
    return ray


def on_session() -> OnSession:
    """The back end on this process's session.

    :raises EngineFailed: there is none.
    """
    ray = _import()
    if not ray.is_initialized():
        message = "this process has no Ray session: call ray.init() first, or use backend='ray'"
        raise engine_failed(message)
    return OnSession(ray)


def by_address(name: str) -> OnSession:
    """The back end on the session at ``ray://host:port``; of ``ray``, on this process's own.

    :raises ExtraMissing: Ray is not installed.
    :raises EngineFailed: nobody answers.
    """
    ray = _import()
    address = None if name == "ray" else name
    if ray.is_initialized():
        if address is None:
            return OnSession(ray)
        message = (
            f"this process has a Ray session, so it cannot connect to {address} as well: use "
            "backend='ray' for the session that is there, or end it with ray.shutdown()"
        )
        raise engine_failed(message)
    if address is not None:
        _look(address)
    try:
        ray.init(address=address)
    except Exception as error:
        message = f"no Ray cluster answers at {name} ({error}): is it running there?"
        raise engine_failed(message) from error
    return OnSession(ray, is_ours=True)


def _look(address: str) -> None:
    """See whether anybody listens at all: Ray itself asks for much longer than a user waits."""
    import socket

    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=8).close()
    except (OSError, ValueError) as error:
        message = f"no Ray cluster answers at {address} ({error}): is it running there?"
        raise engine_failed(message) from error
