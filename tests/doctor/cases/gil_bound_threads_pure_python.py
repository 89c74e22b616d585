"""Plain Python in four threads: they take turns.

:verdict: gil-bound-threads
"""

from concurrent.futures import ThreadPoolExecutor

from effort import compute


def score(document):
    return document + compute(5)


def main():
    with ThreadPoolExecutor(max_workers=4) as executor:
        print(sum(executor.map(score, range(200))))


if __name__ == "__main__":
    main()
