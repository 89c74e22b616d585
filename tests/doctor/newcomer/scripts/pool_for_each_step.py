"""A simulation that makes a pool for each of its steps.

:headline: PW012
:first: keep
"""

from multiprocessing import Pool

ITEMS = 40


def force(cell):
    total = 0.0
    for k in range(1, 6000):
        total += (cell * k) % 1.7 / k
    return total


def main():
    cells = [index * 0.1 for index in range(16)]
    for _ in range(ITEMS):
        with Pool(2) as pool:
            forces = pool.map(force, cells)
        cells = [cell + 0.001 * pull for cell, pull in zip(cells, forces, strict=True)]
    print(round(sum(cells), 6))


if __name__ == "__main__":
    main()
