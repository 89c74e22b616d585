"""Runs one program on one side and tells what happened, as plain data."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tests.parity.differential import tasks
from tests.parity.differential.belongings import Belongings
from tests.parity.differential.inputs import Inputs, spoil
from tests.parity.differential.programs import (
    CALLED_BACK,
    EXECUTORS,
    SYNCHRONOUS,
    Call,
    End,
    Program,
    Read,
    Setup,
    Step,
    is_iterator,
)
from tests.parity.differential.steps import ENDS, WAYS, Making, Outcome, attempt, read
from tests.parity.differential.tasks import freeze, freeze_error

Doors = dict[str, Callable[..., Any]]
"""Makes a pool of what a :class:`Setup` says, by the name of its door."""

WITHOUT_WAITING = ("briefly", "drop", "cancel", "shutdown now", "cancel now")
"""Reads and ends that leave tasks at the gate where they are."""

_left_open: list[World] = []


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
    for outcome in world.run_all():
        tell("step", outcome)
    if program.leaves_open:
        _left_open.append(world)
        return
    tasks.gate[0] = 1
    more = world.count_more()
    world.drop_all()
    left = before.wait_until_gone(world.inputs, grace_s)
    logs = {"callbacks": world.calls_back, "noise": world.noise, "left": left, "more": more}
    tell("end", logs | {"runs": _count_bytes(reader)})


def _count_bytes(reader: int) -> int:
    try:
        return len(os.read(reader, 1 << 20))
    except BlockingIOError:
        return 0


class World:
    """Everything that one run of a program has made so far."""

    def __init__(self, program: Program, doors: Doors) -> None:
        self.inputs = Inputs()
        self.calls_back: list[tuple[int, str, Outcome]] = []
        self.noise: list[str] = []
        self._program = program
        self._doors = doors
        self._pools: list[Any] = []
        self._handles: dict[int, Any] = {}
        self._own: list[Any] = []
        self._listen()

    def _listen(self) -> None:
        """Note what threads, destructors and warnings say that nobody catches."""
        warnings.simplefilter("always")
        warnings.showwarning = self._note_warning
        threading.excepthook = lambda args: self._note("thread", args.exc_type, args.exc_value)
        sys.unraisablehook = lambda args: self._note("unraisable", args.exc_type, args.exc_value)

    def _note_warning(self, message: Any, kind: type, *where: Any, **_: Any) -> None:
        self._note("warning", kind)
        sys.stderr.write(warnings.formatwarning(message, kind, *where[:2]))

    def _note(self, where: str, kind: type, error: BaseException | None = None) -> None:
        if kind is not DeprecationWarning:  # we fork beside threads, on purpose
            self.noise.append(f"{where}: {tasks.name_of(kind)}")
        if error is not None:
            traceback.print_exception(error)

    # -- steps

    def make_pools(self) -> Outcome:
        """Make all pools, and enter those that are left like a `with` block."""
        ends = [step for step in self._program.steps if isinstance(step, End)]
        entered = {end.pool for end in ends if end.how.startswith("exit")}

        def make() -> None:
            for at, setup in enumerate(self._program.pools):
                pool = _make(self._doors, setup)
                self._pools.append(pool.__enter__() if at in entered else pool)

        return attempt(make)

    def run_all(self) -> Iterator[Outcome]:
        """The outcome of each step, in their order; some run at the same time as the next."""
        steps = iter(enumerate(self._program.steps))
        for at, step in steps:
            if not getattr(step, "beside", False):
                yield self._run(at, step)
                continue
            aside = _Aside(partial(self._run, at, step))
            outcome = self._run(*next(steps))
            yield aside.wait()
            yield outcome

    def _run(self, at: int, step: Step) -> Outcome:
        """Run the step with this number."""
        runs: dict[type, Callable[..., Outcome]] = {
            Call: self._call,
            Read: self._read,
            End: self._end,
        }
        run = partial(runs[type(step)], at, step)
        is_aside = not isinstance(step, End) and step.in_thread
        return _Aside(run).wait() if is_aside else run()

    def _call(self, at: int, call: Call) -> Outcome:
        pool = self._pools[call.pool]
        is_waiting = call.way in SYNCHRONOUS and not is_iterator(self._program, call)
        if is_waiting or any(source.calls or source.of is not None for source in call.sources):
            tasks.gate[0] = 1
        own = partial(self._call_own_pool, pool)
        inputs = [
            self.inputs.make(source, own) if source.of is None else self._handles.get(source.of, ())
            for source in call.sources
        ]
        making = Making(call, pool, inputs, self._callbacks(at, call))

        def make() -> Any:
            made = WAYS[call.way](making)
            for source, given in zip(call.sources, inputs, strict=True):
                spoil(source, given)
            return made if is_waiting else self._handles.update({at: made})

        return attempt(make)

    def _read(self, _: int, step: Read) -> Outcome:
        handle = self._handles.get(step.of)
        if handle is None:
            return "end", "no handle"
        if step.how not in WITHOUT_WAITING:
            tasks.gate[0] = 1
        if step.how == "drop":
            del self._handles[step.of], handle
            gc.collect()
            return "read", []
        return "read", read(self._program, step, handle)

    def _end(self, _: int, end: End) -> Outcome:
        is_executor = self._program.pools[end.pool].door in EXECUTORS
        if end.how == "drop":
            self._pools[end.pool] = None
            gc.collect()
            return "value", None
        if end.how == "join" or (is_executor and end.how not in WITHOUT_WAITING):
            tasks.gate[0] = 1
        return attempt(partial(ENDS[end.how], self._pools[end.pool]))

    # -- what runs aside

    def _call_own_pool(self, pool: Any, when: str) -> None:
        """What a generator does that uses the pool that reads it."""

        def call() -> None:
            wait = _submit(pool, "from a generator")
            self._own.append(wait)
            if when == "now":
                wait()

        attempt(call)  # the pool may have been closed meanwhile

    def _callbacks(self, at: int, call: Call) -> dict[str, Any]:
        if call.way not in CALLED_BACK:
            return {}
        names = {"done": call.callback} if call.way == "submit" else {
            "callback": call.callback,
            "error_callback": call.error_callback,
        }  # fmt: skip
        back = partial(self._called_back, at, call.pool)
        return {which: partial(back, which, how) for which, how in names.items() if how}

    def _called_back(self, at: int, pool_at: int, which: str, how: str, value: Any) -> None:
        if which == "done":
            outcome = attempt(value.result)
        elif which == "error_callback":
            outcome = "raised", freeze_error(value)
        else:
            outcome = "value", freeze(value)
        self.calls_back.append((at, which, outcome))
        pool = self._pools[pool_at] if self._pools else None
        if how == "nap":
            time.sleep(0.01)
        elif how == "raises":
            error = tasks.make_error("OddError")
            raise error
        elif how in {"submit", "waits"}:
            outcome = attempt(partial(_submit_more, pool, is_waiting=how == "waits"))
            self.calls_back.append((at, "submitted", outcome))
        elif how == "terminate" and pool is not None:
            (pool.shutdown(wait=False) if which == "done" else pool.terminate())

    # -- the end

    def count_more(self) -> int:
        """How many calls were made by generators and callbacks."""
        by_callbacks = [outcome for _, which, outcome in self.calls_back if which == "submitted"]
        return len(self._own) + sum(word == "value" for word, _ in by_callbacks)

    def drop_all(self) -> None:
        """Forget every pool and every result."""
        self._handles.clear()
        self._pools.clear()
        self._own.clear()
        gc.collect()


def _make(doors: Doors, setup: Setup) -> Any:
    initializer = None if setup.initializer is None else tasks.initialize
    initargs = () if setup.initializer is None else (setup.initializer,)
    return doors[setup.door](setup.workers, initializer, initargs, setup.per_child)


def _submit(pool: Any, what: str) -> Callable[[], Any]:
    """One more call; returns what waits for its result."""
    if hasattr(pool, "submit"):
        wait: Callable[[], Any] = pool.submit(tasks.echo, what).result
    else:
        wait = pool.apply_async(tasks.echo, (what,)).get
    return wait


def _submit_more(pool: Any, *, is_waiting: bool) -> Any:
    wait = _submit(pool, "from a callback")
    return wait() if is_waiting else None


class _Aside:
    """A step that runs in a thread of its own."""

    def __init__(self, run: Callable[[], Outcome]) -> None:
        self._box: list[Outcome] = []
        self._thread = threading.Thread(target=lambda: self._box.append(run()))
        self._thread.start()

    def wait(self) -> Outcome:
        """Its outcome, when it is there."""
        self._thread.join()
        return self._box.pop()
