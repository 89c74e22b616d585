"""Costs differ by a hundred, but the expensive ones go first and one by one.

:verdict: healthy
"""

from multiprocessing import Pool

from effort import compute


def route(stops):
    return stops + compute(stops)


def main():
    tours = sorted((1 + 97 * tour % 100 for tour in range(36)), reverse=True) + [1] * 60
    with Pool(2) as pool:
        print(sum(pool.imap_unordered(route, tours)))


if __name__ == "__main__":
    main()
