"""Small tasks, in an executor that is made again for each step.

:headline: PW001
:also: PW012
:first: serial, chunksize, poolwise, keep
"""

import math
from concurrent.futures import ProcessPoolExecutor

ITEMS = 60


def force(cell):
    x, y = cell
    return sum(math.sin(x * k) * math.cos(y / k) for k in range(1, 300))


def main():
    cells = [(index * 0.1, index * 0.2) for index in range(64)]
    for _ in range(ITEMS):
        with ProcessPoolExecutor(max_workers=2) as executor:
            forces = list(executor.map(force, cells))
        cells = [(x + 0.001 * f, y - 0.001 * f) for (x, y), f in zip(cells, forces, strict=True)]
    print(round(sum(x + y for x, y in cells), 6))


if __name__ == "__main__":
    main()
