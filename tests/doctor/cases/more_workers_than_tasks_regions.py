"""Sixteen workers for four regions: each starts an interpreter, and twelve never have a task.

:verdict: more-workers-than-tasks
:also: startup
"""

import multiprocessing

from effort import compute


def simulate(region):
    return len(region) + compute(60)


def main():
    context = multiprocessing.get_context("spawn")
    with context.Pool(16) as pool:
        print(sum(pool.map(simulate, ["north", "east", "south", "west"])))


if __name__ == "__main__":
    main()
