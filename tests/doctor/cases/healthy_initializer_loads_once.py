"""A dictionary is built once in each worker, tasks send a word and get a guess.

:verdict: healthy
"""

from concurrent.futures import ProcessPoolExecutor
from difflib import get_close_matches

vocabulary = []


def load(size):
    vocabulary.extend(f"{number * 7919:x}word{number:o}" for number in range(size))


def guess(word):
    return get_close_matches(word, vocabulary, n=1, cutoff=0.5)


def main():
    words = [f"{number:x}wrod{number * 3:o}" for number in range(1000)]
    with ProcessPoolExecutor(2, initializer=load, initargs=(150,)) as executor:
        print(sum(map(len, executor.map(guess, words, chunksize=10))))


if __name__ == "__main__":
    main()
