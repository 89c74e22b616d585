"""Texts are parsed in threads, in pure Python.

:headline: PW016
:first: poolwise
"""

from concurrent.futures import ThreadPoolExecutor

ITEMS = 240


def parse(number):
    words = {}
    for position in range(60_000):
        word = (number * 31 + position * 17) % 997
        words[word] = words.get(word, 0) + 1
    return max(words.values())


def main():
    with ThreadPoolExecutor(4) as pool:
        most = list(pool.map(parse, range(ITEMS)))
    print(sum(most))


if __name__ == "__main__":
    main()
