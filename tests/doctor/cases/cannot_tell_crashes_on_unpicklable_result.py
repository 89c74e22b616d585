"""Every result is a generator, which cannot be pickled: the program ends with its traceback.

:verdict: cannot-tell
:also: not-worth-a-pool, healthy, startup
:exit: 1
"""

from concurrent.futures import ProcessPoolExecutor


def tokens(line):
    return (word for word in line.split())


def main():
    lines = ["the quick brown fox"] * 200
    with ProcessPoolExecutor(max_workers=2) as executor:
        for words in executor.map(tokens, lines):
            print(list(words))


if __name__ == "__main__":
    main()
