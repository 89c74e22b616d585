"""The parent holds a gigabyte of small objects, and forks a pool for every question about them.

:verdict: startup
:also: not-worth-a-pool
"""

from multiprocessing import Pool

from effort import compute


def answer(question):
    return question + compute(2)


def main():
    archive = [bytes(20_000) for _ in range(50_000)]
    answers = []
    for batch in range(12):
        with Pool(2) as pool:
            answers += pool.map(answer, range(batch * 8, batch * 8 + 8))
    print(len(archive), len(answers))


if __name__ == "__main__":
    main()
