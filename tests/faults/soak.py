"""A soak: every way into the pools at random, with failures and deaths, against plain loops.

    python -m tests.faults.soak [--seconds N] [--seed N] [--methods fork,spawn] [--rounds N]

Each round makes a pool or an executor, calls it in several ways from several threads, holds every
answer to what a loop gives, and ends it in one of the ways there are. Prints what differs with
the seed of its round (`--seed N --rounds 1` plays it again), and at the end what is left of it all:
descriptors, processes, shared memory, threads, growth of memory. Exits with 1 if anything is.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import logging
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass
from typing import Any

import numpy as np
import psutil

import poolwise
from poolwise import errors
from tests.faults import breakers

STUCK_S = 90.0
"""A round that takes longer than this hangs: all stacks are printed, and the soak ends."""

POOLS = (poolwise.Pool, poolwise.ProcessPoolExecutor)

GROWTH_LIMIT_BYTES = 60_000_000
WARM_UP_ROUNDS = 10

SIZES = (0, 1, 2, 7, 30, 200)
BYTES = (0, 10, 1_000, 70_000, 300_000, 3_000_000)


# --- what tasks do ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """What one task is to do.

    :ivar act: `value`, `bytes`, `array`, `sleep`, `raise`, `lock` (a result that cannot be
        pickled) or `end` (of its worker).
    :ivar number: what it makes its result of.
    :ivar payload: travels to the worker, and back.
    """

    act: str
    number: int
    payload: Any = None

    def __call__(self) -> Any:
        return ACTS[self.act](self)

    @property
    def error(self) -> type[BaseException] | None:
        """What it fails with."""
        return {"raise": KeyError, "lock": errors.ResultNotPicklable, "end": errors.WorkerDied}.get(
            self.act
        )

    @property
    def value(self) -> Any:
        """What it gives in a plain loop."""
        return None if self.error else self()


def take_a_while(order: Order) -> int:
    time.sleep(order.number % 10 / 1000)
    return order.number


def fail(order: Order) -> None:
    raise KeyError(order.number)


def end_here(order: Order) -> None:
    breakers.end(sorted(breakers.ENDS)[order.number % len(breakers.ENDS)])


ACTS: dict[str, Callable[[Order], Any]] = {
    "value": lambda order: order.number * 2,
    "bytes": lambda order: order.payload[::-1],
    "array": lambda order: order.payload + 1,
    "sleep": take_a_while,
    "raise": fail,
    "lock": lambda _: threading.Lock(),
    "end": end_here,
}


def do(order: Order) -> Any:
    return order()


def do_two(order: Order, other: int) -> Any:
    return other, order()


def do_named(order: Order) -> Any:
    return order.number, order()


def draw_orders(draw: random.Random) -> list[Order]:
    """Some orders, mostly of one kind, sometimes with failures or deaths among them."""
    many = draw.choice(SIZES)
    kinds = draw.choice([["value"], ["bytes"], ["array"], ["sleep"], ["value", "bytes", "array"]])
    most = 30_000_000 // max(1, many)
    size = draw.choice([size for size in BYTES if size <= max(most, 10)])
    orders = []
    for number in range(many):
        kind = draw.choice(kinds)
        payload = None
        if kind == "bytes":
            payload = bytes([number % 256]) * size
        elif kind == "array":
            payload = np.full(size // 8, number, dtype=float)
        orders.append(Order(kind, number, payload))
    for _ in range(draw.choice([0, 0, 0, 1, 1, 3])):
        if orders:
            at = draw.randrange(many)
            orders[at] = Order(draw.choice(["raise", "lock", "end"]), at)
    return orders


# --- ways in ------------------------------------------------------------------------------------


class Differs(Exception):
    """An answer is not what a loop gives."""


def is_same(one: Any, other: Any) -> bool:
    if isinstance(other, tuple):
        return isinstance(one, tuple) and all(map(is_same, one, other))
    if isinstance(other, np.ndarray):
        return isinstance(one, np.ndarray) and np.array_equal(one, other)
    return type(one) is type(other) and one == other


def hold(order: Order, take: Callable[[], Any]) -> None:
    """Take one answer, and hold it to what the order gives in a loop."""
    try:
        got = take()
    except BaseException as error:
        if order.error is None or not isinstance(error, order.error):
            message = f"{order.act} {order.number} raised {error!r}"
            raise Differs(message) from error
        return
    if order.error is not None or not is_same(got, order.value):
        message = f"{order.act} {order.number} gave {str(got)[:80]}"
        raise Differs(message)


def hold_whole(orders: list[Order], take: Callable[[], list[Any]]) -> None:
    """Take a list of answers: all that a loop gives, or an error that one of the orders gives."""
    failures = tuple(order.error for order in orders if order.error is not None)
    try:
        got = take()
    except failures:
        return
    if failures or len(got) != len(orders):
        message = f"{len(got)} of {len(orders)}, and no error"
        raise Differs(message)
    for order, value in zip(orders, got, strict=True):
        hold(order, lambda value=value: value)


def hold_stream(orders: list[Order], answers: Iterator[Any], draw: random.Random) -> None:
    """Take answers one by one, in order; sometimes not all."""
    for order in orders:
        if draw.random() < 0.003:
            return
        hold(order, lambda: next(answers))
    if next(answers, None) is not None:
        message = "more answers than orders"
        raise Differs(message)


def hold_unordered(orders: list[Order], answers: Iterator[tuple[int, Any]]) -> None:
    """Take answers as they come: each once."""
    left, failed = {order.number: order for order in orders if order.error is None}, 0
    while True:
        try:
            number, got = next(answers)
        except StopIteration:
            break
        except Exception:
            failed += 1
        else:
            hold(left.pop(number), lambda got=got: got)
    if left or failed != sum(order.error is not None for order in orders):
        message = f"{len(left)} answers did not come, {failed} failed"
        raise Differs(message)


def endless(orders: list[Order]) -> Iterator[Order]:
    yield from orders


class PoolCalls:
    """The ways into a pool, each a method that makes one call and holds what comes of it."""

    def __init__(self, pool: poolwise.Pool, draw: random.Random) -> None:
        self.pool = pool
        self.draw = draw
        self.orders = draw_orders(draw)
        self.given = draw.choice([list, endless])(self.orders)
        self.chunksize = draw.choice([None, None, None, 1, 3, 50])

    def apply(self) -> None:
        for order in self.orders[:20]:
            hold(order, lambda order=order: self.pool.apply(do, (order,)))

    def map(self) -> None:
        hold_whole(self.orders, lambda: self.pool.map(do, self.given, self.chunksize))

    def map_async(self) -> None:
        result = self.pool.map_async(do, self.given, self.chunksize)
        if self.draw.random() < 0.9:
            hold_whole(self.orders, lambda: result.get(STUCK_S))

    def starmap(self) -> None:
        pairs = [(order, order.number) for order in self.orders]
        hold_whole(
            self.orders, lambda: [b for _, b in self.pool.starmap(do_two, pairs, self.chunksize)]
        )

    def imap(self) -> None:
        size = self.draw.choice([None, None, 1, 10])
        answers = self.pool.imap(do, self.given, self.chunksize, buffersize=size)
        hold_stream(self.orders, answers, self.draw)

    def unordered(self) -> None:
        hold_unordered(self.orders, self.pool.imap_unordered(do_named, self.given, self.chunksize))

    def calls(self) -> None:
        results = [self.pool.apply_async(do, (order,)) for order in self.orders]
        for order, result in zip(self.orders, results, strict=True):
            hold(order, lambda result=result: result.get(STUCK_S))


class ExecutorCalls:
    """The ways into an executor, likewise."""

    def __init__(self, executor: poolwise.ProcessPoolExecutor, draw: random.Random) -> None:
        self.executor = executor
        self.draw = draw
        self.orders = draw_orders(draw)

    def submit(self) -> dict[Any, Order]:
        return {self.executor.submit(do, order): order for order in self.orders}

    def map(self) -> None:
        chunksize, buffersize = (
            self.draw.choice([None, 1, 4]),
            self.draw.choice([None, None, 1, 10]),
        )
        answers = self.executor.map(do, self.orders, chunksize=chunksize, buffersize=buffersize)
        for order in self.orders:
            hold(order, lambda: next(answers))
            if order.error is not None:  # which ends it, as in the standard executor
                return

    def calls(self) -> None:
        for future, order in self.submit().items():
            hold(order, lambda future=future: future.result(STUCK_S))

    def as_completed(self) -> None:
        submitted = self.submit()
        for future in futures.as_completed(submitted, timeout=STUCK_S):
            hold(submitted[future], future.result)

    def cancel(self) -> None:
        submitted = self.submit()
        for future in submitted:
            if self.draw.random() < 0.5:
                future.cancel(force=self.draw.random() < 0.3)
        for future, order in submitted.items():
            if not future.cancelled():
                hold(order, lambda future=future: future.result(STUCK_S))

    def drop(self) -> None:
        self.submit()


def call_any_way(calls: PoolCalls | ExecutorCalls) -> None:
    """Make one call, in a way that is drawn."""
    ways = [way for way in vars(type(calls)) if way[0] != "_" and way != "submit"]
    getattr(calls, calls.draw.choice(ways))()


# --- rounds -------------------------------------------------------------------------------------


def play(draw: random.Random, methods: list[str]) -> None:
    """Make something, use it from some threads, end it."""
    method, workers = draw.choice(methods), draw.choice([1, 2, 2, 3])
    most = draw.choice([None, None, 1, 5] if method == "fork" else [None, 30])  # a start takes long
    if draw.random() < 0.5:
        pool = poolwise.Pool(workers, context=method, maxtasksperchild=most)
        try:
            use(pool, PoolCalls, draw)
        except BaseException:
            pool.terminate()
            raise
        end_pool(pool, draw)
    else:
        executor = poolwise.ProcessPoolExecutor(workers, method, max_tasks_per_child=most)
        try:
            use(executor, ExecutorCalls, draw)
        except BaseException:
            executor.kill_workers()
            raise
        end_executor(executor, draw)


def use(pool: Any, calls: type[PoolCalls | ExecutorCalls], draw: random.Random) -> None:
    """Call it from this thread and from some others; raises what differs in any of them."""
    differs: list[BaseException] = []

    def call_some(draw: random.Random, times: int) -> None:
        try:
            for _ in range(times):
                call_any_way(calls(pool, draw))
        except BaseException as error:
            differs.append(error)

    others = [
        threading.Thread(target=call_some, args=(random.Random(draw.random()), 2), daemon=True)
        for _ in range(draw.choice([0, 0, 1, 2]))
    ]
    for other in others:
        other.start()
    call_some(draw, draw.choice([1, 3, 6]))
    for other in others:
        other.join()
    if differs:
        raise differs[0]


def end_pool(pool: poolwise.Pool, draw: random.Random) -> None:
    """End it, now and then with something under way."""
    if draw.random() < 0.3:
        pool.map_async(do, draw_orders(draw))
    way = draw.choice(["close", "terminate", "with", "let go"])
    if way == "close":
        pool.close()
        pool.join()
    elif way == "terminate":
        pool.terminate()
        pool.join()
    elif way == "with":
        with pool:
            pass


def end_executor(executor: poolwise.ProcessPoolExecutor, draw: random.Random) -> None:
    """End it, now and then with something under way."""
    left = (
        [executor.submit(do, order) for order in draw_orders(draw)] if draw.random() < 0.3 else []
    )
    way = draw.choice(["wait", "cancel", "no wait", "terminate", "kill", "let go"])
    if way == "wait":
        executor.shutdown()
    elif way == "cancel":
        executor.shutdown(cancel_futures=True)
    elif way == "no wait":
        executor.shutdown(wait=False)
    elif way == "terminate":
        executor.terminate_workers()
    elif way == "kill":
        executor.kill_workers()
    for future in left:
        with contextlib.suppress(futures.CancelledError):
            future.exception(STUCK_S)


# --- what is left -------------------------------------------------------------------------------


def count_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a number is all that is wanted


def list_children() -> list[psutil.Process]:
    """Child processes, but for the helpers that the standard library keeps."""
    helpers = ("resource_tracker", "forkserver")
    found = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if not any(helper in " ".join(child.cmdline()) for helper in helpers):
                found.append(child)
    return found


def find_leftovers(descriptors: int, memory_bytes: int) -> list[str]:
    """What is left, when some time was given to what ends by itself."""
    until = time.monotonic() + 10
    while True:
        gc.collect()
        threads = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
        segments = os.listdir("/dev/shm")  # noqa: PTH208 - names are all that is wanted
        left = [f"process {child}" for child in list_children()]
        left += [f"thread {name}" for name in threads]
        left += [f"/dev/shm/{name}" for name in segments]
        if (more := count_descriptors() - descriptors) > 0:
            left.append(f"{more} descriptors")
        if not left or time.monotonic() > until:
            break
        time.sleep(0.1)
    if threads:
        faulthandler.dump_traceback()
    left += [repr(one) for one in gc.get_objects() if isinstance(one, POOLS)]
    growth_bytes = psutil.Process().memory_info().rss - memory_bytes
    print(f"memory grew by {growth_bytes / 1e6:.1f} MB")  # noqa: T201 - its product
    if growth_bytes > GROWTH_LIMIT_BYTES:
        left.append("memory")
    return left


def soak(seconds: float, seed: int, rounds: int | None, methods: list[str]) -> int:
    """Play rounds until the time is over; returns how many went wrong, with what is left."""
    until, wrong, at, descriptors, memory_bytes = time.monotonic() + seconds, 0, 0, 0, 0
    while time.monotonic() < until and at != rounds:
        faulthandler.dump_traceback_later(STUCK_S * 1.5, exit=True)
        try:
            play(random.Random(seed + at), methods)
        except Exception:
            wrong += 1
            print(f"--- seed {seed + at}:", flush=True)  # noqa: T201 - its product
            traceback.print_exc(file=sys.stdout)
        faulthandler.cancel_dump_traceback_later()
        at += 1
        if at == WARM_UP_ROUNDS:
            gc.collect()
            descriptors, memory_bytes = count_descriptors(), psutil.Process().memory_info().rss
    print(f"{at} rounds, {wrong} went wrong")  # noqa: T201 - its product
    left = find_leftovers(descriptors, memory_bytes) if at > WARM_UP_ROUNDS else []
    print("left over: " + (", ".join(left) or "nothing"))  # noqa: T201 - its product
    return wrong + len(left)


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--seconds", type=float, default=60)
    words.add_argument("--seed", type=int, default=int(time.time()))
    words.add_argument("--rounds", type=int)
    words.add_argument("--methods", default="fork,fork,fork,forkserver,spawn")
    given = words.parse_args()
    faulthandler.register(signal.SIGUSR1)
    logging.getLogger("concurrent.futures").setLevel(logging.CRITICAL)
    return int(bool(soak(given.seconds, given.seed, given.rounds, given.methods.split(","))))


if __name__ == "__main__":
    sys.exit(main())
