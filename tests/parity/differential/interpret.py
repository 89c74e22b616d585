"""Runs one program on one side and tells what happened, as plain data."""

from __future__ import annotations

import concurrent.futures
import gc
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tests.parity.differential import tasks
from tests.parity.differential.inputs import Inputs, spoil
from tests.parity.differential.programs import (
    EXECUTORS,
    SINGLE,
    Call,
    End,
    Program,
    Read,
    Setup,
    Step,
    is_iterator,
)
from tests.parity.differential.tasks import ERRORS, freeze, freeze_error

PATIENT_S, BRIEF_S = 100.0, 0.03

Outcome = tuple[str, Any]
"""`("value", frozen)`, `("raised", Raised)`, `("end", None)`, or `("read", outcomes)`."""

Doors = dict[str, Callable[..., Any]]
"""Makes a pool of a :class:`Setup`'s fields, by the name of its door."""


def attempt(function: Callable[[], Any]) -> Outcome:
    """What it returns or raises."""
    try:
        return "value", freeze(function())
    except BaseException as error:
        return "raised", freeze_error(error)


def attempt_next(function: Callable[[], Any]) -> Outcome:
    """What an iterator gives: a value, an exception, or its end."""
    try:
        return "value", freeze(function())
    except StopIteration:
        return "end", None
    except BaseException as error:
        return "raised", freeze_error(error)


def _in_thread(function: Callable[[], Any]) -> Any:
    box: list[Any] = []
    thread = threading.Thread(target=lambda: box.append(function()))
    thread.start()
    thread.join()
    return box.pop()


class World:
    """Everything that one run of a program has made so far."""

    def __init__(self, program: Program, doors: Doors) -> None:
        self.program = program
        self.doors = doors
        self.inputs = Inputs()
        self.pools: list[Any] = []
        self.handles: dict[int, Any] = {}
        self.calls_back: list[tuple[int, str, Any]] = []
        self.noise: list[str] = []
        self._own: list[Any] = []
        self._listen()

    def _listen(self) -> None:
        """Note what threads, destructors and warnings say that nobody catches."""
        warnings.simplefilter("always")
        warnings.showwarning = lambda message, kind, *rest, **_: self._note("warning", kind)
        threading.excepthook = lambda args: self._note("thread", args.exc_type)
        sys.unraisablehook = lambda args: self._note("unraisable", args.exc_type)

    def _note(self, where: str, kind: type) -> None:
        if kind is not DeprecationWarning:  # we fork beside threads, on purpose
            self.noise.append(f"{where}: {tasks.name_of(kind)}")

    # -- steps

    def make_pools(self) -> Outcome:
        """Make all pools, and enter those that are left like a `with` block."""

        def make() -> None:
            for setup in self.program.pools:
                self.pools.append(_make(self.doors, setup))
            for at, pool in enumerate(self.pools):
                if any(isinstance(s, End) and s.pool == at and "exit" in s.how for s in self._ends):
                    pool.__enter__()

        return attempt(make)

    @property
    def _ends(self) -> Iterator[End]:
        return (step for step in self.program.steps if isinstance(step, End))

    def run(self, at: int, step: Step) -> Outcome:
        """Run the step with this number."""
        run = {Call: self._call, Read: self._read, End: self._end}[type(step)]
        outcome: Outcome = _in_thread(partial(run, at, step)) if _is_aside(step) else run(at, step)
        return outcome

    def _call(self, at: int, call: Call) -> Outcome:
        pool = self.pools[call.pool]
        if call.way in {"map", "starmap", "apply"}:
            is_executor = self.program.pools[call.pool].door in EXECUTORS
            if not is_executor or any(source.calls for source in call.sources):
                tasks.gate[0] = 1
        own = partial(self._call_own_pool, pool)
        inputs = [self.inputs.make(source, own) for source in call.sources]

        def begin() -> Any:
            handle = _WAYS[call.way](self, at, call, pool, inputs)
            for source, made in zip(call.sources, inputs, strict=True):
                spoil(source, made)
            return handle

        if call.way in {"starmap", "apply"} or (call.way == "map" and not self._is_stream(call)):
            return attempt(begin)
        return attempt(lambda: self.handles.update({at: begin()}))

    def _is_stream(self, call: Call) -> bool:
        return is_iterator(self.program, call)

    def _call_own_pool(self, pool: Any, when: str) -> None:
        """What a generator does that uses the pool that reads it."""
        submit = getattr(pool, "submit", None)

        def call() -> None:
            if submit is not None:
                wait = submit(tasks.echo, "from a generator").result
            else:
                wait = pool.apply_async(tasks.echo, ("from a generator",)).get
            self._own.append(wait)
            if when == "now":
                wait()

        attempt(call)  # it may have been closed meanwhile

    def callback(self, at: int, which: str, how: str | None) -> Any:
        """A callback for the step, or None."""
        return None if how is None else partial(self._called_back, at, which, how)

    def _called_back(self, at: int, which: str, how: str, value: Any) -> None:
        if which == "done":
            outcome = attempt(value.result)
        elif which == "error_callback":
            outcome = "raised", freeze_error(value)
        else:
            outcome = "value", freeze(value)
        self.calls_back.append((at, which, outcome))
        pool = self.pools[self.program.steps[at].pool] if self.pools else None
        if how == "nap":
            time.sleep(0.01)
        elif how == "raises":
            raise ERRORS["OddError"]()
        elif how == "submit":
            self.calls_back.append((at, "submitted", attempt(partial(_submit_more, pool))))
        elif how == "terminate" and pool is not None:
            (pool.shutdown(wait=False) if which == "done" else pool.terminate())

    def _read(self, at: int, read: Read) -> Outcome:
        if self.handles.get(read.of) is None:
            return "end", "no handle"
        if read.how not in {"briefly", "drop", "cancel"}:
            tasks.gate[0] = 1
        call = self.program.steps[read.of]
        names = _FUTURE_READS if call.way == "submit" else _RESULT_READS
        how = (_STREAM_READS if is_iterator(self.program, call) else names)[read.how]
        return "read", how(self, read)

    def _end(self, at: int, end: End) -> Outcome:
        pool = self.pools[end.pool]
        is_executor = self.program.pools[end.pool].door in EXECUTORS
        if end.how == "join" or (is_executor and end.how not in {"drop", "shutdown now"}):
            tasks.gate[0] = 1  # that waits for all tasks
        if end.how == "drop":
            self.pools[end.pool] = pool = None
            gc.collect()
            return "value", None
        return attempt(partial(ENDS[end.how], pool))

    # -- the end

    def drop_all(self) -> None:
        """Forget every pool and every result."""
        self.handles.clear()
        self.pools.clear()
        self._own.clear()
        gc.collect()

    def count_more(self) -> int:
        """How many calls were made by generators and callbacks."""
        by_callbacks = [outcome for _, which, outcome in self.calls_back if which == "submitted"]
        return len(self._own) + sum(word == "value" for word, _ in by_callbacks)


def _is_aside(step: Step) -> bool:
    return not isinstance(step, End) and step.in_thread


def _make(doors: Doors, setup: Setup) -> Any:
    initializer = None if setup.initializer is None else tasks.initialize
    initargs = () if setup.initializer is None else (setup.initializer,)
    return doors[setup.door](setup.workers, initializer, initargs, setup.per_child)


def _submit_more(pool: Any) -> None:
    if hasattr(pool, "submit"):
        pool.submit(tasks.echo, "from a callback")
    else:
        pool.apply_async(tasks.echo, ("from a callback",))


def _raise_nothing(pool: Any) -> None:
    pool.__exit__(None, None, None)


def _leave_by_an_error(pool: Any) -> None:
    error = ValueError("in the block")
    pool.__exit__(ValueError, error, None)


ENDS: dict[str, Callable[[Any], Any]] = {
    "close": lambda pool: pool.close(),
    "join": lambda pool: pool.join(),
    "terminate": lambda pool: pool.terminate(),
    "exit": _raise_nothing,
    "exit with an error": _leave_by_an_error,
    "shutdown": lambda pool: pool.shutdown(),
    "shutdown now": lambda pool: pool.shutdown(wait=False),
    "cancel": lambda pool: pool.shutdown(cancel_futures=True),
    "cancel now": lambda pool: pool.shutdown(wait=False, cancel_futures=True),
}


# --- calls --------------------------------------------------------------------------------------


def _function(call: Call) -> Any:
    return tasks.FUNCTIONS[call.function]


def _pairs(made: Any) -> Iterator[tuple[Any, int]]:
    return ((item, at) for at, item in enumerate(made))


def _chunked(call: Call) -> dict[str, Any]:
    return {} if call.chunksize is None else {"chunksize": call.chunksize}


def _back(world: World, at: int, call: Call) -> dict[str, Any]:
    return {
        name: back
        for name in ("callback", "error_callback")
        if (back := world.callback(at, name, getattr(call, name))) is not None
    }


def _map(world: World, at: int, call: Call, pool: Any, inputs: list[Any]) -> Any:
    rules = _chunked(call) | ({} if call.timeout is None else {"timeout": call.timeout})
    return pool.map(_function(call), *inputs, **rules)


def _map_async(world: World, at: int, call: Call, pool: Any, inputs: list[Any]) -> Any:
    return pool.map_async(_function(call), *inputs, **_chunked(call), **_back(world, at, call))


def _starmap(world: World, at: int, call: Call, pool: Any, inputs: list[Any]) -> Any:
    return pool.starmap(_function(call), _pairs(inputs[0]), **_chunked(call))


def _starmap_async(world: World, at: int, call: Call, pool: Any, inputs: list[Any]) -> Any:
    rules = _chunked(call) | _back(world, at, call)
    return pool.starmap_async(_function(call), list(_pairs(inputs[0])), **rules)


def _apply(world: World, at: int, call: Call, pool: Any, inputs: list[Any]) -> Any:
    return pool.apply(_function(call), tuple(inputs[0]))


def _apply_async(world: World, at: int, call: Call, pool: Any, inputs: list[Any]) -> Any:
    return pool.apply_async(_function(call), tuple(inputs[0]), **_back(world, at, call))


def _imap(world: World, at: int, call: Call, pool: Any, inputs: list[Any]) -> Any:
    return getattr(pool, call.way)(_function(call), *inputs, **_chunked(call))


def _submit(world: World, at: int, call: Call, pool: Any, inputs: list[Any]) -> Any:
    future = pool.submit(_function(call), *inputs[0])
    back = world.callback(at, "done", call.callback)
    if back is not None:
        future.add_done_callback(back)
    return future


_WAYS: dict[str, Callable[[World, int, Call, Any, list[Any]], Any]] = {
    "map": _map,
    "map_async": _map_async,
    "starmap": _starmap,
    "starmap_async": _starmap_async,
    "apply": _apply,
    "apply_async": _apply_async,
    "imap": _imap,
    "imap_unordered": _imap,
    "submit": _submit,
}


# --- reads --------------------------------------------------------------------------------------


def _next_of(handle: Any, timeout: float | None) -> Callable[[], Any]:
    has_timeout = timeout is not None and hasattr(handle, "next")
    return partial(handle.next, timeout) if has_timeout else partial(next, handle)


def _read_all(world: World, read: Read) -> list[Outcome]:
    """Read until the iterator says that it has ended; an endless one would hang."""
    one, outcomes = _next_of(world.handles[read.of], None), []
    while not outcomes or outcomes[-1][0] != "end":
        outcomes.append(attempt_next(one))
    return outcomes


def _read_some(world: World, read: Read, timeout: float | None = None) -> list[Outcome]:
    one = _next_of(world.handles[read.of], timeout)
    return [attempt_next(one) for _ in range(read.count)]


def _read_past_end(world: World, read: Read) -> list[Outcome]:
    return _read_all(world, read) + _read_some(world, read)


def _drop(world: World, read: Read) -> list[Outcome]:
    del world.handles[read.of]
    gc.collect()
    return []


def _get(world: World, read: Read, timeout: float | None = None) -> list[Outcome]:
    """The result, and what it says of itself once it is there."""
    handle = world.handles[read.of]
    outcome = attempt(handle.get if timeout is None else partial(handle.get, timeout))
    if timeout == BRIEF_S:
        return [outcome]
    return [outcome, attempt(handle.ready), attempt(handle.successful)]


def _wait(world: World, read: Read) -> list[Outcome]:
    handle = world.handles[read.of]
    return [attempt(handle.wait), attempt(handle.ready)]


def _result(world: World, read: Read, timeout: float | None = None) -> list[Outcome]:
    handle = world.handles[read.of]
    outcome = attempt(handle.result if timeout is None else partial(handle.result, timeout))
    return [outcome] if timeout == BRIEF_S else [outcome, attempt(handle.done)]


def _exception(world: World, read: Read) -> list[Outcome]:
    handle = world.handles[read.of]
    return [attempt(handle.exception), attempt(handle.result)]


def _cancel(world: World, read: Read) -> list[Outcome]:
    return [attempt(world.handles[read.of].cancel)]


def _as_completed(world: World, read: Read) -> list[Outcome]:
    """All futures there are, by `as_completed` and `wait`; then this one."""
    futures = [one for one in world.handles.values() if isinstance(one, concurrent.futures.Future)]
    seen = list(concurrent.futures.as_completed(futures))
    done = concurrent.futures.wait(futures).not_done
    return [("value", len(seen) == len(futures) and not done), *_result(world, read)]


_Reads = dict[str, Callable[[World, Read], list[Outcome]]]

_STREAM_READS: _Reads = {
    "all": _read_all,
    "some": _read_some,
    "patiently": partial(_read_some, timeout=PATIENT_S),
    "briefly": partial(_read_some, timeout=BRIEF_S),
    "drop": _drop,
    "past_end": _read_past_end,
}
_RESULT_READS: _Reads = {
    "get": _get,
    "patiently": partial(_get, timeout=PATIENT_S),
    "briefly": partial(_get, timeout=BRIEF_S),
    "wait": _wait,
    "drop": _drop,
}
_FUTURE_READS: _Reads = {
    "get": _result,
    "patiently": partial(_result, timeout=PATIENT_S),
    "briefly": partial(_result, timeout=BRIEF_S),
    "wait": _result,
    "drop": _drop,
    "exception": _exception,
    "cancel": _cancel,
    "as_completed": _as_completed,
}


# --- a whole program ----------------------------------------------------------------------------


def run_program(
    program: Program, doors: Doors, tell: Callable[[str, Any], None], grace_s: float
) -> None:
    """Run the program; tell of each step when it is done, then of the whole.

    :param tell: is called with a word and plain data.
    :param grace_s: what is left behind after this time is there to stay.
    """
    reader, writer = os.pipe2(os.O_NONBLOCK)
    tasks.count_runs_in(writer)
    tasks.gate[0] = 0
    before = Belongings()
    world = World(program, doors)
    tell("step", world.make_pools())
    for at, step in enumerate(program.steps):
        tell("step", world.run(at, step))
    if program.leaves_open:
        _left_open.append(world)
        return
    tasks.gate[0] = 1
    more = world.count_more()
    world.drop_all()
    left = before.wait_until_gone(world.inputs, grace_s)
    runs = len(_read_bytes(reader))
    tell("end", {
        "callbacks": world.calls_back,
        "noise": world.noise,
        "left": left,
        "runs": runs,
        "more": more,
    })  # fmt: skip


_left_open: list[World] = []


def _read_bytes(reader: int) -> bytes:
    try:
        return os.read(reader, 1 << 20)
    except BlockingIOError:
        return b""


class Belongings:
    """What this process has: threads, descriptors, children."""

    def __init__(self) -> None:
        self._threads = set(threading.enumerate())
        self._descriptors = _descriptors()

    def wait_until_gone(self, inputs: Inputs, grace_s: float) -> list[str]:
        """What has come since, when it has had time to go."""
        until, pause_s = time.monotonic() + grace_s, 0.001
        while (left := self._list_new(inputs)) and time.monotonic() < until:
            time.sleep(pause_s)
            pause_s = min(0.05, pause_s * 1.5)
            gc.collect()
        return left

    def _list_new(self, inputs: Inputs) -> list[str]:
        threads = set(threading.enumerate()) - self._threads
        left = [f"thread {thread.name}" for thread in threads]
        fresh = set(_descriptors().items()) - set(self._descriptors.items())
        left += [f"descriptor of {target}" for _, target in sorted(fresh)]
        if inputs.opened > inputs.closed:
            left.append("open generator")
        return [*left, "process"] if _has_children() else left


def _descriptors() -> dict[str, str]:
    """Where each descriptor leads to; the one that lists them is gone when it is asked."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    return found


def _has_children() -> bool:
    """There is a child that runs, or that nobody has waited for."""
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
