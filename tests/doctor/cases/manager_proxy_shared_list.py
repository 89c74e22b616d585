"""Workers append each result to a manager's list instead of returning it.

:verdict: manager-proxy
:also: lock-serialised
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Manager


def explore(visited, node):
    for step in range(20):
        visited.append(node * step)
    return len(visited)


def main():
    with Manager() as manager:
        visited = manager.list()
        with ProcessPoolExecutor(max_workers=2) as executor:
            longest = max(executor.map(explore, [visited] * 250, range(250)))
        print(longest)


if __name__ == "__main__":
    main()
