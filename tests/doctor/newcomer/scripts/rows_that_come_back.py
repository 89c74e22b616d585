"""Trajectories in pure Python, each a long list of rows.

:headline: PW005
:also: HEALTHY
:first: code, poolwise
"""

from multiprocessing import Pool

ITEMS = 60


def simulate(seed):
    rows, x, state = [], 0.0, seed + 1
    for step in range(30_000):
        state = (1103515245 * state + 12345) % 2**31
        x += (state / 2**31 - 0.5) * 0.1
        rows.append((step, round(x, 6), state % 7 == 0))
    return rows


def main():
    with Pool(2) as pool:
        trajectories = pool.map(simulate, range(ITEMS), chunksize=5)
    print(max(row[1] for rows in trajectories for row in rows))


if __name__ == "__main__":
    main()
