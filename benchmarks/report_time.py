"""How long a report takes after the program's end: `python -m benchmarks.report_time [MESSAGES]`.

Programs of so many messages (a million) under `poolwise doctor`, and one whose every message was
recorded: that of a few seconds, repeated. Printed are seconds from the program's end to the report,
CPU seconds of that, and how many records there were.

Claims: 2 s up to a million messages, where the doctor has a CPU for itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from struct import Struct

_POOL = """
from {module} import {kind}
def work(x): return x
if __name__ == "__main__":
    with {kind}(2) as pool:
        for _ in pool.{call}: pass
"""

PROCESSES = {"module": "multiprocessing", "kind": "Pool"}
THREADS = {"module": "multiprocessing.pool", "kind": "ThreadPool"}

MOST_RECORDED = 250_000
"""A process records no more than this."""

_SLOT = Struct("24q")

_TIMES = {1: range(6, 17), 2: (7, 8, 9, 10, 13), 3: (7, 8, 9, 10, 13, 14)}
"""Of tasks, sends and results (`boot/_poolwise_observer/recorder.py`): fields that are times."""

_COUNT = 7


def observe(program: str, folder: Path) -> Path:
    """The records of a program."""
    from poolwise.doctor.launch import launcher as launch

    script, records = folder / "program.py", folder / "records"
    script.write_text(program)
    records.mkdir()
    launch.launch([sys.executable, str(script)], str(records))
    return records


def repeat(records: Path, times: int) -> None:
    """Let a run's messages come so many times, one round after the other."""
    facts = json.loads((records / "run.json").read_text())
    round_ns = facts["ended_ns"] - facts["began_ns"]
    for path in records.glob("*.rec"):
        slots = [slot for slot in _SLOT.iter_unpack(path.read_bytes()) if slot[0]]
        known = [slot for slot in slots if slot[0] in _TIMES]
        count = max((slot[4 if slot[0] == 1 else 5] for slot in known), default=0)
        again = (
            _later(slot, number * count, number * round_ns)
            for number in range(1, times)
            for slot in known
        )
        first = [_last(slot, times, (times - 1) * round_ns) for slot in slots]
        path.write_bytes(b"".join(_SLOT.pack(*slot) for slot in [*first, *again]))
    facts["ended_ns"] += (times - 1) * round_ns
    (records / "run.json").write_text(json.dumps(facts))


def _last(slot: tuple[int, ...], times: int, by_ns: int) -> tuple[int, ...]:
    """A count of messages as it is in the end; other slots as they are."""
    if slot[0] != _COUNT:
        return slot
    return slot[0], slot[1] * times, slot[2] + by_ns, *slot[3:]


def _later(slot: tuple[int, ...], messages: int, by_ns: int) -> tuple[int, ...]:
    moved = list(slot)
    for field in _TIMES[slot[0]]:
        moved[field] += by_ns if moved[field] else 0
    first = 2 if slot[0] == 1 else 3
    moved[first] += 10 * messages
    moved[first + 2] += messages
    return tuple(moved)


def report(records: Path) -> tuple[float, float, int]:
    """Wall and CPU seconds of the report, and the records that there were."""
    began_s = time.perf_counter()
    code = "import sys, time; from poolwise.cli import doctor; doctor.main(sys.argv[1:])"
    code += "; print(time.process_time())"
    command = [sys.executable, "-c", code, "--from", str(records)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    took_s = time.perf_counter() - began_s
    slots = sum(path.stat().st_size for path in records.glob("*.rec")) // _SLOT.size
    return took_s, float(done.stdout.split()[-1]), slots


def main() -> None:
    messages = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    programs = {
        "Pool.imap": _POOL.format(**PROCESSES, call=f"imap(work, range({messages}))"),
        "Pool.map, chunksize=1": _POOL.format(
            **PROCESSES, call=f"map(work, range({messages}), chunksize=1)"
        ),
        "ThreadPool.imap": _POOL.format(**THREADS, call=f"imap(work, range({messages}))"),
    }
    print(f"{messages:,} messages".ljust(26) + "report   CPU       slots")
    for name, program in programs.items():
        with tempfile.TemporaryDirectory() as folder:
            show(name, observe(program, Path(folder)))
    with tempfile.TemporaryDirectory() as folder:
        records = observe(_POOL.format(**PROCESSES, call="imap(work, range(128))"), Path(folder))
        repeat(records, min(messages, MOST_RECORDED) // 128)
        show("each of them recorded", records)


def show(name: str, records: Path) -> None:
    """A line of the table."""
    took_s, cpu_s, slots = report(records)
    print(f"{name:<24} {took_s:5.1f} s {cpu_s:5.1f} s {slots:11,}")


if __name__ == "__main__":
    main()
