"""How well the doctor knows a short function's own time: `python -m benchmarks.own_time`.

Functions from next to nothing to 45 us run in pools under the doctor, handed out in several ways;
beside what it says of an item stands what an item takes in a plain loop, on the CPU clock of one
process. From the first lines come the constants of `poolwise.doctor.gather.own_time`: what an
empty function takes between the clocks of a message.

Claim: within 25 % where messages carry several items, or the function takes 10 us; half a
microsecond off for shorter ones handed out one by one, three where joblib does that, since each
call runs on cold caches then.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from poolwise.doctor import replay

_SCRIPT = """
import math, sys, time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Pool

def empty(x): return x
def sine(x): return math.sin(x) * math.cos(x) + math.sqrt(x + 1) * x * x
def loop_2_us(x): return sum(i * x for i in range(50))
def loop_45_us(x): return sum(i * x for i in range(1250))

def one_by_one(work, items):
    with Pool(2) as pool: pool.map(work, items, chunksize=1)

def by_twenty(work, items):
    with Pool(2) as pool: pool.map(work, items, chunksize=20)

def submitted(work, items):
    with ProcessPoolExecutor(2) as pool: [each.result() for each in
                                          [pool.submit(work, item) for item in items]]

def by_joblib(work, items):
    from joblib import Parallel, delayed
    Parallel(n_jobs=2)(delayed(work)(item) for item in items)

def joblib_one_by_one(work, items):
    from joblib import Parallel, delayed
    Parallel(n_jobs=2, batch_size=1)(delayed(work)(item) for item in items)

if __name__ == "__main__":
    work, way, items = globals()[sys.argv[1]], globals()[sys.argv[2]], list(range(4000))
    way(work, items)
    tries = []
    for _ in range(3):
        began = time.thread_time()
        [work(item) for item in items]
        tries.append(time.thread_time() - began)
    print(min(tries) / len(items))
"""

FUNCTIONS = ("empty", "sine", "loop_2_us", "loop_45_us")
WAYS = ("one_by_one", "by_twenty", "submitted", "by_joblib", "joblib_one_by_one")
_OBSERVE = """
import sys
from poolwise.doctor.launch.launcher import launch
launch([sys.executable, *sys.argv[2:]], sys.argv[1])
"""


def main() -> None:
    """Print a line for each way and function."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.py"
        script.write_text(_SCRIPT)
        for way in WAYS:
            for function in FUNCTIONS:
                told_s, loop_s = _compare(script, function, way)
                print(
                    f"{way:18} {function:10} {told_s * 1e6:8.2f} us, in a loop {loop_s * 1e6:.2f}"
                )


def _compare(script: Path, function: str, way: str) -> tuple[float, float]:
    """Seconds of an item, as the doctor has it, and in a plain loop."""
    with tempfile.TemporaryDirectory() as records:
        words = [sys.executable, "-c", _OBSERVE, records, str(script), function, way]
        answer = subprocess.run(words, check=True, capture_output=True, text=True)
        pool = replay(records).pools[0]
    return pool.work_s / max(1, pool.items), float(answer.stdout)


if __name__ == "__main__":
    main()
