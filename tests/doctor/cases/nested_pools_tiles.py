"""Four processes of which each keeps four more busy: sixteen want the CPUs of a small machine.

:verdict: nested-pools
:also: oversubscribed-processes
"""

from concurrent.futures import ProcessPoolExecutor

from effort import compute


def refine(cell):
    return cell + compute(5)


def tile(number):
    with ProcessPoolExecutor(max_workers=4) as executor:
        return sum(executor.map(refine, range(number, number + 60), chunksize=3))


def main():
    with ProcessPoolExecutor(max_workers=4) as executor:
        print(sum(executor.map(tile, range(6))))


if __name__ == "__main__":
    main()
