"""How far the doctor's predictions are off: `python -m benchmarks.prediction [WORKLOADS]`.

Each workload runs under the doctor, with one chunk size and one number of workers; from that run
alone the model predicts the others. Those, and the known setting, run without the doctor, in turns
with it, for so many rounds. An error is |predicted / measured - 1|, each round's prediction against
the median of what was measured; printed are median and 90th percentile. Beside it stands how far
single runs are from their own median: nothing that is calibrated from one run can be much closer.

Runs begin when other programs use less than a fifth of a CPU, or after a patience of some seconds;
what they used on average is printed, because what others take from a run no model can know. With
`--first` (root only) all runs have the highest priority, and others are left out of the model: a
busy machine then measures more like a quiet one.

Of pairs of settings whose measured times differ by more than a fifth, the share is printed that the
model puts in the right order: that is what choosing needs.

Claims: median under 8 % over all but payloads, under 15 % for payloads.
"""

from __future__ import annotations

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from poolwise.doctor import replay
from poolwise.doctor.launch.sampler import read_machine_s
from poolwise.doctor.predict import calls as predict
from poolwise.doctor.predict.calls import Model

_SCRIPT = """
import random, sys, time
from multiprocessing import Pool

def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass

{function}

if __name__ == "__main__":
    chunk, workers = int(sys.argv[1]), int(sys.argv[2])
    items = {items}
    with Pool(workers) as pool:
        time.sleep(0.2)  # until workers are there
        began = time.perf_counter()
        pool.map(work, items, chunksize=chunk)
        print(time.perf_counter() - began)
"""


@dataclass(frozen=True)
class Workload:
    """A function with its input, the setting it is calibrated at, and those to predict."""

    function: str
    items: str
    known: tuple[int, int]
    asked: list[tuple[int, int]]
    is_payload: bool = False


WORKLOADS = {
    "I/O, 5 ms sleeps": Workload(
        "def work(x): time.sleep(0.005)", "range(160)", (4, 2),
        [(1, 2), (20, 2), (4, 1), (4, 4), (2, 8), (1, 16)],
    ),
    "2 ms sleep and 0.9 ms CPU": Workload(
        "def work(x): time.sleep(0.002); burn(0.0009)", "range(300)", (5, 2),
        [(5, 1), (1, 2), (25, 2), (5, 4), (5, 8)],
    ),
    "heavy tail, CPU": Workload(
        "def work(x): burn(x)",
        "[min(0.2, random.Random(n).lognormvariate(-6.5, 1.3)) for n in range(300)]", (5, 2),
        [(1, 1), (1, 2), (40, 2), (150, 2), (5, 4)],
    ),
    "sorted, CPU": Workload(
        "def work(x): burn(x)", "[n * 4e-5 for n in range(150)]", (5, 2),
        [(5, 1), (1, 2), (25, 2), (75, 2)],
    ),
    "20 us tasks": Workload(
        "def work(x): burn(2e-5)", "range(10_000)", (10, 2),
        [(1, 2), (50, 2), (500, 2), (5000, 2), (10, 1), (10, 4)],
    ),
    "empty tasks": Workload(
        "def work(x): return x", "range(20_000)", (1, 2), [(5, 2), (20, 2), (100, 2), (1, 4)],
    ),
    "400 KB arguments": Workload(
        "def work(x): return len(x)", "[bytes(400_000) for _ in range(150)]", (1, 2),
        [(3, 2), (15, 2), (1, 1), (1, 4)], is_payload=True,
    ),
    "400 KB results": Workload(
        "def work(x): return bytes(400_000)", "range(150)", (1, 2),
        [(3, 2), (15, 2), (1, 1), (1, 4)], is_payload=True,
    ),
}  # fmt: skip

QUIET_CPUS = 0.2

HIGHEST = -20
"""A nice value with which one is hardly disturbed by others (their share is 1 in 86)."""


@dataclass
class Score:
    """What was predicted and measured of one workload."""

    errors: list[float] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)
    pairs: list[bool] = field(default_factory=list)
    others: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prediction")
    parser.add_argument("words", nargs="*", metavar="WORKLOAD", help="part of a name; all if none")
    parser.add_argument("--first", action="store_true", help="run before all other programs")
    parser.add_argument("--patience", type=float, default=5.0, metavar="S", help="wait for quiet")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    options = parser.parse_args()
    words, patience_s = options.words, 0.0 if options.first else options.patience
    if options.first:
        os.setpriority(os.PRIO_PROCESS, 0, HIGHEST)
    print(f"{'workload':<28} points  error    p90 | one run   p90 | order right  others")
    scores = {}
    for name, workload in WORKLOADS.items():
        if not words or any(word in name for word in words):
            scores[name] = score(workload, patience_s, options.rounds)
            print(_line(name, scores[name]), flush=True)
    for title, is_payload in (("all but payloads", False), ("payloads", True)):
        some = [s for name, s in scores.items() if WORKLOADS[name].is_payload is is_payload]
        if some:
            print(_line(title, _sum(some)))


def score(workload: Workload, patience_s: float, rounds: int) -> Score:
    """Calibrate, predict and measure, in turns."""
    found = Score()
    models: list[Model] = []
    settings = [workload.known, *workload.asked]
    runs: dict[tuple[int, int], list[float]] = {setting: [] for setting in settings}
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "program.py"
        script.write_text(_SCRIPT.format(function=workload.function, items=workload.items))
        for _ in range(rounds):
            models.append(_calibrate(script, workload.known, patience_s))
            for setting in settings:
                call_s, others = _run(script, *setting, patience_s)
                runs[setting].append(call_s)
                found.others.append(others)
    points = []
    for setting in settings:
        typical_s = statistics.median(runs[setting])
        predicted = [model.pool_s(*setting) for model in models]
        found.spreads += [abs(one_s / typical_s - 1) for one_s in runs[setting]]
        if setting != workload.known:
            found.errors += [abs(one_s / typical_s - 1) for one_s in predicted]
            points.append((typical_s, statistics.median(predicted)))
    for (measured_s, predicted_s), (other_s, promised_s) in itertools.combinations(points, 2):
        if not 1 / 1.2 < measured_s / other_s < 1.2:
            found.pairs.append((measured_s < other_s) == (predicted_s < promised_s))
    return found


def _calibrate(script: Path, known: tuple[int, int], patience_s: float) -> Model:
    """The model that one observed run gives."""
    _wait_for_quiet(patience_s)
    chunk, workers = known
    code = (
        "import sys\n"
        "from poolwise.doctor.launch.launcher import launch\n"
        "launch([sys.executable, *sys.argv[2:]], sys.argv[1])"
    )
    with tempfile.TemporaryDirectory() as records:
        words = [records, str(script), str(chunk), str(workers)]
        subprocess.run([sys.executable, "-c", code, *words], check=True, capture_output=True)
        seen = replay(records)
    if os.getpriority(os.PRIO_PROCESS, 0) == HIGHEST:
        seen = replace(seen, program=replace(seen.program, other_cpus=0.0))
    pool = seen.pools[0]
    site = max(pool.sites, key=lambda each: each.work_s)
    model = predict.calibrate(site, pool, seen)
    if model is None:
        message = f"no model of {site}"
        raise RuntimeError(message)
    return model


def _run(script: Path, chunk: int, workers: int, patience_s: float) -> tuple[float, float]:
    """Seconds of the call, CPUs that others used."""
    _wait_for_quiet(patience_s)
    busy_s, began = read_machine_s()[0], time.perf_counter()
    words = [sys.executable, str(script), str(chunk), str(workers)]
    answer = subprocess.run(words, check=True, capture_output=True)
    used_s = _children_s()
    others = (read_machine_s()[0] - busy_s - used_s) / (time.perf_counter() - began)
    return float(answer.stdout), max(0.0, others)


_before_s = 0.0


def _children_s() -> float:
    """CPU seconds of children that ended since the last call."""
    global _before_s  # noqa: PLW0603 - a running sum
    import resource

    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    used_s = usage.ru_utime + usage.ru_stime - _before_s
    _before_s += used_s
    return used_s


def _wait_for_quiet(patience_s: float) -> None:
    end = time.perf_counter() + patience_s
    while time.perf_counter() < end:
        busy_s, began = read_machine_s()[0], time.perf_counter()
        time.sleep(0.2)
        if (read_machine_s()[0] - busy_s) / (time.perf_counter() - began) < QUIET_CPUS:
            break
    _children_s()


def _line(name: str, score: Score) -> str:
    right = f"{sum(score.pairs)} of {len(score.pairs)}"
    return (
        f"{name:<28} {len(score.errors):>6} {_percent(score.errors)} | "
        f"{_percent(score.spreads)} | {right:>11}  {statistics.mean(score.others):.2f}"
    )


def _percent(errors: list[float]) -> str:
    ordered = sorted(errors)
    p90 = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    return f"{statistics.median(ordered):6.1%} {p90:6.1%}"


def _sum(scores: list[Score]) -> Score:
    whole = Score()
    for each in scores:
        whole.errors += each.errors
        whole.spreads += each.spreads
        whole.pairs += each.pairs
        whole.others += each.others
    return whole


if __name__ == "__main__":
    main()
