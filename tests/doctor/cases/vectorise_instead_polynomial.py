"""A loop over numbers, item by item in Python, on all CPUs.

:verdict: vectorise-instead
:also: healthy
"""

from multiprocessing import Pool


def integrate(start):
    total = 0.0
    for step in range(60_000):
        x = start + step * 1e-5
        total += (3.0 * x * x - 2.0 * x + 1.0) * 1e-5
    return total


def main():
    with Pool(2) as pool:
        print(sum(pool.map(integrate, range(300))))


if __name__ == "__main__":
    main()
