"""A program with two faults that its report finds. Run it with the names of files to write.

Every task carries the same table (1.8 MB), and one station has far more readings than the others.
Files are written as their names say: .html, .trace.json, .json, .txt.
"""

from __future__ import annotations

import random
import sys
import time

import poolwise

STATIONS = 160
BIGGEST = 147


def smooth(table: list[float], station: int) -> float:
    """Fetch a station's readings, then smooth them."""
    time.sleep(0.004)  # the network
    readings = 400_000 if station == BIGGEST else 20_000
    value = 0.0
    for at in range(readings):
        value += (table[at * (station + 1) % len(table)] - value) / 16
    return value


def main() -> None:
    """Run it, print the report, and keep it in files."""
    draw = random.Random(1)
    table = [draw.random() for _ in range(200_000)]
    with poolwise.Pool() as pool:
        pool.starmap(smooth, [(table, station) for station in range(STATIONS)], progress=True)
    report = pool.report()
    report.show()
    for path in sys.argv[1:]:
        report.save(path)


if __name__ == "__main__":
    main()
