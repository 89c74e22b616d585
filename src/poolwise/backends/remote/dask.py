"""Lanes on the workers of a Dask cluster.

A lane is one thread of one worker, and its calls are bound to that worker: so a worker that is lost
costs what it ran, and is not followed by others that the scheduler would give the same task to.
"""

from __future__ import annotations

import threading
from asyncio import CancelledError
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any
from uuid import uuid4
from weakref import WeakKeyDictionary, WeakSet, proxy

from poolwise import errors
from poolwise.backends.remote.base import Failed, Flight, Lane, Remote
from poolwise.backends.remote.messages import engine_failed
from poolwise.backends.remote.seat import Future, Seat
from poolwise.core.contract import Promises

if TYPE_CHECKING:
    from distributed import Client

    from poolwise.worker.remote import Blob

_numbers = count(1)
_process = uuid4().hex[:8]


class _Seat(Seat):
    """One thread of a worker; any worker's until the first call has said where it ran.

    :param address: of the worker, if one is known.
    """

    large_bytes = 1 << 20
    """So much does not go by way of the scheduler, as tasks do. No benchmark found it."""

    def __init__(self, client: Client, address: str | None, generation: int) -> None:
        self._client = client
        self.address = address
        self.generation = generation

    def submit(self, function: Callable[..., Any], *args: Any) -> Future:
        given = [self._by_way(arg) for arg in args]
        key = f"poolwise_{function.__name__}-{_process}-{next(_numbers)}"
        where = {} if self.address is None else {"workers": [self.address]}
        future: Future = self._client.submit(
            _located, function, *given, key=key, pure=False, allow_other_workers=False, **where
        )
        return future

    def _by_way(self, arg: Any) -> Any:
        if isinstance(arg, bytes) and len(arg) > self.large_bytes:
            where = None if self.address is None else [self.address]
            (sent,) = self._client.scatter([arg], workers=where, hash=False)
            return sent
        return list(map(self._by_way, arg)) if type(arg) is list else arg

    def put(self, blob: Blob) -> Any:
        if len(blob[0]) + sum(map(len, blob[1])) <= self.large_bytes:
            return blob
        (sent,) = self._client.scatter([blob], broadcast=True, hash=False)
        return sent

    def take_place(self, address: str) -> None:
        """Stay where the first call ran."""
        self.address = self.address or address


def _located(function: Callable[..., Any], *args: Any) -> tuple[str, Any]:
    """Run a call in a worker, which says who it is."""
    from distributed import get_worker

    return get_worker().address, function(*args)


class _Watch:
    """Tells all pools on one client which workers have gone.

    By the events of each single worker: among those of all are some that cannot be sent to clients,
    and the scheduler then ends the connection (``replicate``, distributed 2026.8).
    """

    def __init__(self, client: Client) -> None:
        self.pools: WeakSet[OnClient] = WeakSet()
        self._client = proxy(client)
        self._addresses: set[str] = set()

    def watch(self, address: str) -> bool:
        """Watch one more worker; False when it was watched before."""
        if address in self._addresses:
            return False
        self._addresses.add(address)
        self._client.subscribe_topic(address, partial(self._hear, address))
        return True

    def _hear(self, address: str, event: tuple[float, Any]) -> None:
        what = event[1]
        if isinstance(what, dict) and what.get("action") == "remove-worker":
            for pool in list(self.pools):
                pool.note_gone(address)


_watches: WeakKeyDictionary[Any, _Watch] = WeakKeyDictionary()


class OnClient(Remote):
    """The back end on a Dask client.

    :param is_ours: it was made for this back end, and is closed with it.
    """

    name = "dask"
    promises = Promises(
        has_time_limits=False,
        replaces_workers=False,
        answers_early=False,
        tells_exit_codes=False,
        relays_output=False,
        limits_workers=False,
    )

    def __init__(self, client: Client, *, is_ours: bool = False) -> None:
        super().__init__(imports_main=False)
        self._client = client
        self._is_ours = is_ours
        self._done: SimpleQueue[Flight | None] = SimpleQueue()
        self._gone: SimpleQueue[str] = SimpleQueue()
        self._losses = 0
        self._threads: dict[str, int] = {}
        self._gatherer: threading.Thread | None = None
        self._watch: Any = None
        self.usual_lanes = sum(self._threads_of_workers().values()) or None

    def _threads_of_workers(self) -> dict[str, int]:
        try:
            found: dict[str, int] = self._client.nthreads()
        except Exception as error:
            raise self._is_gone(error) from error
        return found

    def _is_gone(self, error: BaseException) -> errors.PoolwiseError:
        scheduler = getattr(self._client.scheduler, "address", "its address")
        return engine_failed(
            f"the Dask cluster at {scheduler} cannot be reached any more: its scheduler has ended "
            f"or its client was closed ({error!r}). What it ran is lost; make a new client, and a "
            "new pool",
            error,
        )

    # -- lanes

    def _make_seat(self, lane: int) -> Seat:
        if self._gatherer is None:
            self._start()
        seats = [one.seat for one in self._lanes.values()]
        taken = Counter(seat.address for seat in seats if isinstance(seat, _Seat))
        self._threads = self._threads_of_workers()
        free = {name: n - taken[name] for name, n in self._threads.items()}
        address = max(free, key=free.__getitem__, default=None)
        if address is not None:
            self._follow(address)
        return _Seat(self._client, address, self._losses)

    def _follow(self, address: str) -> None:
        is_new = self._watch.watch(address)
        if is_new and address not in self._threads_of_workers():  # it has gone in this moment
            self.note_gone(address)

    def _has_room(self, lane: Lane) -> bool:
        """A chunk is sent when nothing can keep it waiting: what waits might be lost, or blamed.

        The answers of a lane are fetched before it has the next one: they are lost with a worker.
        """
        address = lane.seat.address if isinstance(lane.seat, _Seat) else None
        busy = sum(
            isinstance(one.seat, _Seat) and one.seat.address == address and bool(one.flights)
            for one in self._lanes.values()
        )
        return not lane.flights and busy < self._threads.get(address or "", 1)

    def _start(self) -> None:
        watch = _watches.get(self._client)
        if watch is None:
            watch = _watches[self._client] = _Watch(self._client)
        watch.pools.add(self)
        self._watch = watch
        self._gatherer = threading.Thread(
            target=_gather, args=(self._client, self._done, self._arrive), daemon=True
        )
        self._gatherer.name = "poolwise-dask-results"
        self._gatherer.start()

    def note_gone(self, address: str) -> None:
        """A worker has left the cluster; may be called in any thread."""
        self._gone.put(address)
        self._bell.ring()

    def wait(self, timeout_s: float | None) -> list[Any]:
        events = super().wait(0 if not self._gone.empty() else timeout_s)
        while not self._gone.empty():
            self._lose(self._gone.get())
        if self._events:
            events, self._events = [*events, *self._events], []
        return events

    def _lose(self, address: str) -> None:
        """A worker has gone with all that it ran and kept."""
        self._losses += 1  # what was put down may have gone as well
        for lane in list(self._lanes.values()):
            if isinstance(lane.seat, _Seat) and lane.seat.address == address:
                self._end_lane(lane, errors.Death(lane.pid, None))

    def _find_failure(self, error: BaseException) -> errors.PoolwiseError | None:
        if isinstance(error, errors.EngineFailed):
            return errors.again(error)
        if isinstance(error, (CancelledError, OSError)) or self._client.status == "closed":
            return self._is_gone(error)
        return None

    # -- results

    def _hear(self, flight: Flight, _: Any) -> None:
        self._done.put(flight)

    def _arrive(self, flight: Flight, said: Any) -> None:
        flight.said = said
        self._arrived.append(flight)
        self._bell.ring()

    def _collect(self, flights: list[Flight]) -> Iterable[tuple[Flight, Any]]:
        for flight in flights:
            said = flight.said
            if isinstance(said, tuple):
                assert isinstance(flight.lane.seat, _Seat)  # noqa: S101 - we made it
                flight.lane.seat.take_place(said[0])
                self._watch.watch(said[0])
                said = said[1]
            yield flight, said

    def _cancel(self, flight: Flight) -> bool:
        """Let the scheduler forget it. Whether it has begun, nobody knows."""
        try:
            if flight.future is not None:
                flight.future.cancel()
        except Exception:  # noqa: S110 - the client is closed: there is nothing to forget
            pass
        return False

    def _take_back(self, lane: Lane) -> None:
        flights, lane.flights = lane.flights, {}  # what was sent has begun, as far as we know
        super()._take_back(lane)
        lane.flights = flights

    def _give_up_engine(self) -> None:
        if self._watch is not None:
            self._watch.pools.discard(self)
        self._done.put(None)
        if self._gatherer is not None:
            self._gatherer.join(1.0)
        if self._is_ours:
            self._client.close()


def _gather(
    client: Client, done: SimpleQueue[Flight | None], arrive: Callable[[Flight, Any], None]
) -> None:
    """Fetch the results of calls, all that are there at once."""
    while (flight := done.get()) is not None:
        batch = [flight]
        while not done.empty() and (following := done.get()) is not None:
            batch.append(following)
        for one, said in zip(batch, _fetch(client, batch), strict=True):
            arrive(one, said)


def _fetch(client: Client, batch: list[Flight]) -> list[Any]:
    """Results in one request, if all are good; else one by one, since failed ones are left out."""
    futures: list[Any] = [flight.future for flight in batch]
    try:
        if all(future.status == "finished" for future in futures):
            values: list[Any] = client.gather(futures, errors="skip")
            if len(values) == len(futures):
                return values
    except Exception:  # noqa: S110 - said below, of those that it is about
        pass
    return [_result_of(future) for future in futures]


def _result_of(future: Any) -> Any:
    try:
        return future.result(timeout=_PATIENCE)
    except BaseException as error:
        return Failed(error)


# -- how one is found


def on_client(client: Any) -> OnClient:
    """The back end on this client.

    :raises TypeError: it is something else of Dask.
    """
    if not hasattr(client, "scheduler_info"):
        message = f"{client!r} is no client: hand in distributed.Client(cluster)"
        raise TypeError(message)
    return OnClient(client)


def by_address(address: str) -> OnClient:
    """The back end on the scheduler at ``host:port``; without one, on the program's own client.

    :raises ExtraMissing: Dask is not installed.
    :raises EngineFailed: nobody answers.
    """
    try:
        from distributed import Client, default_client
    except ImportError as error:
        what = "distributed is needed for a back end on Dask"
        raise errors.ExtraMissing(what, "dask") from error
    if not address:
        try:
            return OnClient(default_client())
        except ValueError as error:
            message = (
                "backend='dask' needs a client, and this program has none: make one first, "
                "distributed.Client(cluster), or name the scheduler, 'dask://host:8786'"
            )
            raise engine_failed(message) from error
    try:
        client = Client(f"tcp://{address}", timeout=_PATIENCE, set_as_default=False)
    except Exception as error:
        message = f"no Dask scheduler answers at dask://{address} ({error}): is it running there?"
        raise engine_failed(message) from error
    return OnClient(client, is_ours=True)


_PATIENCE = "8s"
"""An address where nobody listens is told of within ten seconds."""
