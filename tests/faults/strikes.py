"""Signals at any moment: a program is started, struck at a moment that is drawn, and looked at.

    python -m tests.faults.strikes [--program NAME] [--moments N] [--seed N] [--signal TERM]

Prints each strike after which something was not as it should be, with what the program said, and
how long the programs took to end. Exits with 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.conftest import find_leaked, list_segments, wait_until

ROOT = Path(__file__).parents[2]
LIMIT_S = 20.0
"""Tasks of these programs take longer than this: one that waits for them has not ended soon."""

HEAD = r"""
import asyncio, faulthandler, multiprocessing.pool, os, signal, sys, threading, time
from concurrent import futures
import concurrent.futures.process
faulthandler.register(signal.SIGUSR1, all_threads=True)  # for who looks into a hang

def busy(_):
    time.sleep(150)

def short(number):
    time.sleep(0.003)
    return number

def raise_exit(*_):
    sys.exit(143)

if {has_handler}:
    signal.signal(signal.SIGTERM, raise_exit)
if __name__ == "__main__":
    os.write(1, b"begins\n")
import poolwise
from poolwise import Pool, ProcessPoolExecutor
from poolwise.pool import ThreadPool
if __name__ == "__main__":
    os.write(1, b"runs\n")
"""
"""The program tells when it begins to import, and when all is imported."""

PROGRAMS = {
    "import": """
while True:
    for name in [name for name in sys.modules if name.startswith("poolwise")]:
        del sys.modules[name]
    import poolwise
    poolwise.Pool, poolwise.ProcessPoolExecutor
""",
    "start": """
while True:
    with Pool(2, context='fork') as pool:
        pool.map(abs, range(9))
""",
    "start by spawn": """
while True:
    with Pool(2, context="spawn") as pool:
        pool.map(abs, range(9))
""",
    "map": """
with Pool(2, context='fork') as pool:
    pool.map(busy, range(8))
""",
    "maps": """
with Pool(2, context='fork') as pool:
    while True:
        pool.map(short, range(8))
        pool.map(abs, iter(range(8)))
        pool.starmap(max, [(1, 2)] * 9, 2)
""",
    "imap": """
with Pool(2, context='fork') as pool:
    while True:
        for _ in pool.imap(short, range(20)):
            pass
        for _ in pool.imap_unordered(abs, iter(range(100)), 3):
            pass
        for _ in pool.imap(abs, iter(range(100))):
            break
""",
    "apply_async": """
pool = Pool(2, context='fork')
while True:
    pool.apply_async(abs, (-1,)).get()
    results = [pool.apply_async(short, (at,), callback=abs) for at in range(20)]
    for result in results:
        result.wait()
""",
    "get": """
pool = Pool(2, context='fork')
pool.apply_async(busy, (1,)).get()
""",
    "result": """
with ProcessPoolExecutor(2, 'fork') as executor:
    while True:
        executor.submit(abs, -1).result()
        for future in [executor.submit(short, at) for at in range(20)]:
            future.result()
        list(executor.map(abs, iter(range(100))))
""",
    "as_completed": """
with ProcessPoolExecutor(2, 'fork') as executor:
    while True:
        for future in futures.as_completed([executor.submit(short, at) for at in range(20)]):
            future.result()
        futures.wait([executor.submit(short, at) for at in range(9)])
""",
    "shutdown": """
while True:
    executor = ProcessPoolExecutor(2, 'fork')
    left = [executor.submit(short, at) for at in range(5)]
    executor.shutdown()
""",
    "shutdown under way": """
executor = ProcessPoolExecutor(2, 'fork')
left = [executor.submit(busy, at) for at in range(5)]
executor.shutdown()
""",
    "join": """
while True:
    pool = Pool(2, context='fork')
    left = pool.map_async(short, range(9))
    pool.close()
    pool.join()
""",
    "join under way": """
pool = Pool(2, context='fork')
left = pool.map_async(busy, range(9))
pool.close()
pool.join()
""",
    "nested": """
with Pool(2, context='fork') as pool, ProcessPoolExecutor(2, 'fork') as executor:
    with Pool(1, context='fork') as inner, ThreadPool(2) as threads:
        while True:
            first = pool.map_async(short, range(9))
            second = [executor.submit(short, at) for at in range(9)]
            inner.map(short, range(3))
            threads.map(short, range(3))
            first.get()
            [one.result() for one in second]
""",
    "exit": """
pool = Pool(2, context='fork')
pool.map_async(busy, range(9))
executor = ProcessPoolExecutor(2, 'fork')
left = [executor.submit(short, at) for at in range(100)]
""",
    "exit under way": """
executor = ProcessPoolExecutor(2, 'fork')
left = [executor.submit(busy, at) for at in range(9)]
""",
    "exit with what was dropped": """
def work():
    executor = ProcessPoolExecutor(2, 'fork')
    for at in range(100):
        executor.submit(short, at)
work()
""",
    "dropped": """
while True:
    pool = Pool(2, context='fork')
    left = pool.map_async(short, range(9))
    executor = ProcessPoolExecutor(2, 'fork')
    executor.submit(short, 1)
    del pool, left, executor
""",
    "asyncio": """
async def main():
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2, 'fork') as executor:
        while True:
            await asyncio.gather(*[loop.run_in_executor(executor, short, at) for at in range(50)])
asyncio.run(main())
""",
    "asyncio under way": """
async def main():
    loop = asyncio.get_running_loop()
    with ProcessPoolExecutor(2, 'fork') as executor:
        await asyncio.gather(*[loop.run_in_executor(executor, busy, at) for at in range(500)])
asyncio.run(main())
""",
    "asyncio without with": """
async def main():
    loop = asyncio.get_running_loop()
    executor = ProcessPoolExecutor(2, 'fork')
    await asyncio.gather(*[loop.run_in_executor(executor, busy, at) for at in range(500)])
asyncio.run(main())
""",
    "asyncio inside": """
async def main():
    loop = asyncio.get_running_loop()
    await asyncio.gather(*[loop.run_in_executor(executor, busy, at) for at in range(500)])
with ProcessPoolExecutor(2, 'fork') as executor:
    asyncio.run(main())
""",
    "threads": """
with ThreadPool(2) as pool, ProcessPoolExecutor(2, backend="threads") as executor:
    while True:
        pool.map(short, range(9))
        list(pool.imap(abs, iter(range(9))))
        [one.result() for one in [executor.submit(short, at) for at in range(9)]]
""",
    "threads under way": """
with ThreadPool(2) as pool, ProcessPoolExecutor(2, backend="threads") as executor:
    left = pool.map_async(busy, range(9))
    [one.result() for one in [executor.submit(busy, at) for at in range(9)]]
""",
    "serial": """
with Pool(2, backend="serial") as pool, ProcessPoolExecutor(2, backend="serial") as executor:
    while True:
        pool.map(short, range(9))
        list(pool.imap(abs, iter(range(9))))
        [one.result() for one in [executor.submit(short, at) for at in range(9)]]
""",
    "installed": """
poolwise.install()
from multiprocessing import get_context
from concurrent.futures import ProcessPoolExecutor
with get_context('fork').Pool(2) as pool, ProcessPoolExecutor(2) as executor:
    while True:
        pool.map(short, range(9))
        list(executor.map(short, range(9)))
""",
    "helped": """
events = []
with Pool(2, context='fork', progress="text", on_event=events.append, worker_output="on") as pool:
    while True:
        pool.map(short, range(9))
        print(len(events), file=sys.stderr if False else open(os.devnull, "w"))
        pool.apply_async(print, ("",)).get()
""",
    "large": """
import numpy
data = numpy.zeros(300_000)
with Pool(2, context='fork') as pool:
    while True:
        pool.map(numpy.negative, [data] * 4)
        list(pool.imap(numpy.negative, iter([data] * 4)))
""",
    "from a thread": """
def work():
    with Pool(2, context='fork') as pool:
        while True:
            pool.map(short, range(9))
            for one in [pool.apply_async(short, (at,)) for at in range(9)]:
                one.get()
thread = threading.Thread(target=work, daemon=True)
thread.start()
with Pool(2, context='fork') as pool:
    while True:
        pool.map(short, range(9))
        thread.join(0.01)
""",
}

ENDS_BY_ITSELF = ("exit", "exit under way", "exit with what was dropped")

PRIVATE = re.compile(
    r"Struck|PoolTerminated|PoolInterrupted|PoolwiseError|UsedAfterFork|InitializerFailed"
    r"|Process .*Worker|never retrieved|exception calling callback"
)
"""Errors that Ctrl-C has no business to show, what a worker prints of its own end, and what is said
of errors that nobody took."""


@dataclass(frozen=True)
class Strike:
    """A signal for one program at one moment.

    :param is_group: to its whole group, as a terminal does; else to the program alone.
    :param is_early: the moment is counted from the first imports, else from the end of them.
    :param has_handler: the program's handler of SIGTERM raises SystemExit.
    """

    program: str
    number: signal.Signals = signal.SIGINT
    is_group: bool = True
    is_early: bool = False
    after_s: float = 0.0
    has_handler: bool = False


@dataclass(frozen=True)
class Seen:
    """How a program ended: its exit code (None: not at all) and what it left."""

    code: int | None
    err: str
    ended_s: float
    left: list[str]


def run(strike: Strike, folder: Path, python: str = sys.executable) -> Seen:
    """Start the program, strike it, and see how it ends."""
    script, said = folder / "program.py", folder / "said.txt"
    body = textwrap.indent(PROGRAMS[strike.program], "    ")
    script.write_text(HEAD.format(has_handler=strike.has_handler) + body)
    segments = list_segments()
    with said.open("w") as errors:
        program = subprocess.Popen(
            [python, script],
            env={**os.environ, "PYTHONPATH": f"{ROOT}/src"},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )
    try:
        for _ in range(1 if strike.is_early else 2):
            program.stdout.readline()
        time.sleep(strike.after_s)
        ended_s = _strike(strike, program)
        left = [str(process) for process in members(program.pid)]
        wait_until(lambda: not find_leaked(segments))
        return Seen(
            program.returncode, said.read_text(), ended_s, left + sorted(find_leaked(segments))
        )
    finally:
        for process in members(program.pid):
            process.kill()
        program.communicate()


def _strike(strike: Strike, program: subprocess.Popen[str]) -> float:
    """Send the signal; how long the program and all its processes took to end."""
    struck = time.monotonic()
    try:
        (os.killpg if strike.is_group else os.kill)(program.pid, strike.number)
    except ProcessLookupError:
        pass  # it has ended by itself
    try:
        program.wait(LIMIT_S)
        wait_until(lambda: not members(program.pid))
    except subprocess.TimeoutExpired:
        show_stacks(program.pid)
    return time.monotonic() - struck


def members(session: int) -> list[psutil.Process]:
    """Every process of a session that lives."""
    found = []
    for process in psutil.process_iter():
        try:
            is_member = os.getsid(process.pid) == session
            if is_member and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, ProcessLookupError):
            continue
    return found


def show_stacks(session: int) -> None:
    """Let each process of a session write its stacks to stderr, then end it."""
    for process in members(session):
        with contextlib.suppress(psutil.Error):
            process.send_signal(signal.SIGUSR1)
        time.sleep(0.2)
    for process in members(session):
        process.kill()


def find_faults(strike: Strike, seen: Seen) -> list[str]:
    """What is not as it should be."""
    if seen.code is None:
        return [f"runs on after {LIMIT_S:.0f} s"]
    is_by_itself = strike.program in ENDS_BY_ITSELF
    faults = [f"left: {seen.left}"] if seen.left else []
    faults += [f"says {said!r}" for said in PRIVATE.findall(seen.err)]
    # A program at its end has the interpreter's handlers no more.
    if seen.code not in _codes(strike) and not (is_by_itself and seen.code in {0, -strike.number}):
        faults.append(f"exit status {seen.code}")
    traces = seen.err.count("Traceback (most recent call last)")
    if traces > _most_traces(strike):
        faults.append(f"{traces} tracebacks")
    if traces and "KeyboardInterrupt" not in seen.err:
        faults.append("another error")
    return faults


def _codes(strike: Strike) -> set[int]:
    if strike.number == signal.SIGINT:
        return {-signal.SIGINT, 130}
    return {143} if strike.has_handler else {-strike.number}


def _most_traces(strike: Strike) -> int:
    if strike.number != signal.SIGINT:
        return 0
    # Since Python 3.11 asyncio itself raises KeyboardInterrupt out of a CancelledError.
    return 2 if strike.program.startswith("asyncio") else 1


def draw_strikes(
    programs: Sequence[str], moments: int, seed: int, *, longest_s: float = 0.5, **rules: Any
) -> Iterator[Strike]:
    """Strikes at random moments, one for each program in its turn."""
    draw = random.Random(seed)
    for _ in range(moments):
        for program in programs:
            yield Strike(
                program,
                is_group=draw.random() < 0.5,
                is_early=draw.random() < 0.2,
                after_s=draw.uniform(0, longest_s),
                **rules,
            )


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--program", action="append", choices=list(PROGRAMS))
    words.add_argument("--moments", type=int, default=10)
    words.add_argument("--seed", type=int, default=int(time.time()))
    words.add_argument("--signal", default="INT", choices=["INT", "TERM"])
    words.add_argument("--handler", action="store_true")
    words.add_argument("--longest", type=float, default=0.5)
    words.add_argument("--slow", type=float, default=5.0)
    words.add_argument("--python", default=sys.executable)
    given = words.parse_args()
    programs = given.program or list(PROGRAMS)
    print(f"seed {given.seed}", flush=True)
    wrong, times = 0, {program: [] for program in programs}
    strikes = draw_strikes(
        programs,
        given.moments,
        given.seed,
        longest_s=given.longest,
        number=signal.Signals[f"SIG{given.signal}"],
        has_handler=given.handler,
    )
    with tempfile.TemporaryDirectory() as folder:
        for strike in strikes:
            seen = run(strike, Path(folder), given.python)
            times[strike.program].append(seen.ended_s)
            faults = find_faults(strike, seen)
            if seen.ended_s > given.slow:
                faults.append("slow")
            if faults:
                wrong += 1
                print(f"--- {strike}\n{faults}, {seen.ended_s:.2f} s\n{seen.err}", flush=True)
    for program in programs:
        taken = sorted(times[program])
        print(f"{program:27} median {taken[len(taken) // 2]:.3f} s, longest {taken[-1]:.3f} s")
    print(f"{given.moments * len(programs)} strikes, {wrong} wrong")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
