"""Pools of every kind come and go in one program, which tells what it holds meanwhile.

    python -m tests.faults.come_and_go [--method fork] [--rounds 20] [--kind NAME]

In each round there is one of every kind. After each it prints, as JSON, how many pools there were,
the memory of this process, its threads, descriptors and memory segments, and the engines that live.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import logging
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable
from functools import partial

import poolwise
from poolwise.core.engine import Engine
from poolwise.pool import ThreadPool

SETTLE_S = 60.0
"""What is dropped ends by itself, in some other thread: a busy machine may take its time."""

held: list[object] = []
"""What the program keeps of the pools of a round: results, and errors with all their frames."""


# --- tasks --------------------------------------------------------------------------------------


def double(number):
    return 2 * number


def fail(number):
    raise KeyError(number)


def end(_=None):
    os.kill(os.getpid(), signal.SIGKILL)


def refuse():
    message = "no start"
    raise RuntimeError(message)


def take_a_while(_):
    time.sleep(60)


class Stubborn:
    """Cannot be pickled, and what comes of it cannot either."""

    def __reduce__(self):
        message = "no way"
        raise TypeError(message)


def catch(call, *args):
    """Call it, and keep the error."""
    try:
        call(*args)
    except Exception as error:
        held.append(error)
    finally:
        del call, args  # this frame is part of the traceback: its variables live as long


# --- kinds --------------------------------------------------------------------------------------


def left_block(pool):
    with pool() as made:
        made.map(double, range(40))


def closed_and_joined(pool):
    made = pool()
    held.append(made.map_async(double, range(40)))
    made.close()
    made.join()


def dropped(pool):
    made = pool()
    made.map(double, range(40))
    held.append(made.apply_async(double, (1,)))


def dropped_unused(pool):
    pool()


def dropped_at_work(pool):
    pool().map_async(double, range(40))


def terminated_at_work(pool):
    made = pool()
    result = made.map_async(take_a_while, range(4))
    single = made.apply_async(take_a_while, (1,), error_callback=print)
    made.terminate()
    catch(result.get)
    held.append(single)


def half_read(pool):
    made = pool()
    results = made.imap(double, range(400))
    next(results)
    held.append(results)
    made.terminate()


def unread(pool):
    with pool() as made:
        made.imap(double, range(400))
        made.imap_unordered(double, range(400), 7)


def tasks_that_fail(pool):
    with pool() as made:
        for call in (made.map, made.imap, made.map_async):
            catch(lambda call=call: list(call(fail, range(4))))
        catch(made.apply, fail, (1,))
        catch(lambda: made.apply_async(fail, (1,)).get())
        catch(made.map, double, [1, Stubborn()])


def worker_killed_at_work(pool):
    with pool() as made:
        catch(made.map, end, range(2))
        made.map(double, range(4))


def worker_killed_idle(pool):
    made = pool()
    for process in made._pool:
        process.kill()
    made.map(double, range(4))


def initializer_raises(pool):
    made = pool(initializer=refuse)
    catch(made.map, double, range(4))
    catch(made.apply, double, (1,))
    catch(lambda: list(made.imap(double, range(4))))


def initializer_raises_and_terminated(pool):
    with pool(initializer=refuse) as made:
        catch(made.map, double, range(4))


def bad_initargs(pool):
    made = pool(initializer=double, initargs=(1, 2, 3))
    catch(made.map, double, range(4))
    made.close()
    made.join()


def bad_options(pool):
    for options in ({"processes": 0}, {"initializer": 3}, {"backend": "none"}, {"state": {1: 2}}):
        catch(partial(pool, **options))


def with_everything(pool):
    seen: list[object] = []
    options = {"progress": False, "on_event": seen.append, "worker_output": "captured"}
    with pool(maxtasksperchild=2, state={"one": 1}, **options) as made:
        made.map(double, range(9), 1)
        held.append(made.report())


def large(pool):
    with pool() as made:
        held.extend(value[:10] for value in made.imap(double, [bytes(300_000)] * 4))


def serial(pool):
    made = pool(backend="serial", initializer=double, initargs=(1,))
    held.append(made.map_async(double, range(9)))
    catch(made.map, fail, range(9))


def threads(_):
    with ThreadPool(2) as made:
        made.map(double, range(40))
        catch(made.map, fail, range(40))


def threads_dropped(_):
    made = ThreadPool(2)
    held.append(made.map_async(double, range(40)))


def threads_that_do_not_start(_):
    made = ThreadPool(2, refuse)
    catch(made.map, double, range(40))


POOLS = (
    left_block, closed_and_joined, dropped, dropped_unused, dropped_at_work, terminated_at_work,
    half_read, unread, tasks_that_fail, worker_killed_at_work, worker_killed_idle,
    initializer_raises, initializer_raises_and_terminated, bad_initargs, bad_options,
    with_everything, large, serial, threads, threads_dropped, threads_that_do_not_start,
)  # fmt: skip


def shut_down(executor):
    with executor() as made:
        held.extend([made.submit(double, 1), made.submit(fail, 1)])
        held.append(list(made.map(double, range(9))))


def shut_down_without_waiting(executor):
    made = executor()
    held.append(made.submit(double, 1))
    made.shutdown(wait=False)


def executor_dropped(executor):
    made = executor()
    catch(made.submit(fail, 1).result)
    held.append(made.submit(double, 1))


def executor_unused(executor):
    executor()


def executor_that_does_not_start(executor):
    made = executor(initializer=refuse)
    catch(lambda: made.submit(double, 1).result())
    catch(lambda: made.submit(double, 1).result())
    catch(lambda: list(made.map(double, range(4))))


def executor_killed(executor):
    made = executor()
    calls = [made.submit(take_a_while, 1) for _ in range(4)]
    made.kill_workers()
    catch(calls[0].result)
    held.extend(calls)


def executor_worker_killed(executor):
    with executor() as made:
        catch(made.submit(end).result)


def executor_half_read(executor):
    made = executor()
    results = made.map(double, range(400))
    next(results)
    held.append(results)
    made.shutdown(cancel_futures=True)


def executor_map_that_fails(executor):
    with executor() as made:
        catch(list, made.map(fail, range(9)))


def executor_with_callbacks(executor):
    with executor() as made:
        calls = [made.submit(double, at) for at in range(9)]
        for call in calls:
            call.add_done_callback(held.append)
        calls[-1].cancel()


def executor_of_threads(executor):
    made = executor(backend="threads")
    held.append(made.submit(double, 1))
    catch(made.submit(fail, 1).result)


EXECUTORS = (
    shut_down, shut_down_without_waiting, executor_dropped, executor_unused,
    executor_that_does_not_start, executor_killed, executor_worker_killed, executor_half_read,
    executor_map_that_fails, executor_with_callbacks, executor_of_threads,
)  # fmt: skip


# --- what is held -------------------------------------------------------------------------------


def count_engines() -> int:
    return sum(type(one) is Engine for one in gc.get_objects())


def settle(is_quiet: Callable[[], bool]) -> None:
    """Wait until what was dropped has ended."""
    until = time.monotonic() + SETTLE_S
    while not is_quiet() and time.monotonic() < until:
        time.sleep(0.01)


def measure(pools: int) -> dict[str, int]:
    """What this process holds now."""
    with open("/proc/self/statm") as file:  # noqa: PTH123 - no library may hold memory of its own
        resident = int(file.read().split()[1])
    with open("/proc/self/maps") as file:  # noqa: PTH123
        segments = file.read().count("poolwise-")
    return {
        "pools": pools,
        "memory_bytes": resident * os.sysconf("SC_PAGE_SIZE"),
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208
        "segments": segments,
        "engines": count_engines(),
    }


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--method", default="fork")
    words.add_argument("--rounds", type=int, default=20)
    words.add_argument("--kind", action="append")
    given = words.parse_args()
    warnings.simplefilter("ignore", ResourceWarning)
    logging.getLogger("concurrent.futures").setLevel(logging.CRITICAL)
    pool = partial(poolwise.Pool, 2, context=given.method)
    executor = partial(poolwise.ProcessPoolExecutor, 2, given.method)
    kinds = [(kind, pool) for kind in POOLS] + [(kind, executor) for kind in EXECUTORS]
    kinds = [pair for pair in kinds if not given.kind or pair[0].__name__ in given.kind]
    pools = 0
    for _ in range(given.rounds):
        for kind, door in kinds:
            with contextlib.redirect_stdout(None):
                kind(door)
            pools += 1
        held.clear()
        gc.collect()
        settle(lambda: threading.active_count() == 1 and not count_engines())
        print(json.dumps(measure(pools)), flush=True)


if __name__ == "__main__":
    main()
