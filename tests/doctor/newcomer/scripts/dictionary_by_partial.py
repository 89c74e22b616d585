"""Words of sentences are looked up in a dictionary that partial binds.

:headline: PW006
:first: poolwise, share, initializer, serial
"""

from functools import partial
from multiprocessing import Pool

ITEMS = 40


def make_dictionary(entries):
    return {f"word{i:06d}": f"the meaning of word number {i}" for i in range(entries)}


def make_sentences(count):
    return [" ".join(f"word{(i * 7919 + j * 31) % 200_000:06d}" for j in range(300))
            for i in range(count)]  # fmt: skip


def translate(dictionary, sentence):
    found = [dictionary.get(word) for word in sentence.split()]
    return sum(sum(map(ord, text)) for text in found if text)


def main():
    dictionary = make_dictionary(100_000)
    with Pool(2) as pool:
        scores = pool.map(partial(translate, dictionary), make_sentences(ITEMS), chunksize=1)
    print(sum(scores))


if __name__ == "__main__":
    main()
