"""map() collects a generator first.

:headline: PW021
:also: PW017, PW020
:first: code
"""

from multiprocessing import Pool

ITEMS = 300


def documents():
    for number in range(ITEMS):
        yield " ".join(str(number * position % 1009) for position in range(4000))


def count(text):
    words = {}
    for word in text.split():
        words[word] = words.get(word, 0) + 1
    return max(words.values())


def main():
    with Pool(2) as pool:
        print(sum(pool.map(count, (text for text in documents()))))


if __name__ == "__main__":
    main()
