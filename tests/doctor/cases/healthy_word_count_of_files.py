"""Files are read and counted in workers, their names travel, small tables come back.

:verdict: healthy
:also: vectorise-instead
"""

import random
import re
import tempfile
from collections import Counter
from multiprocessing import Pool
from pathlib import Path

WORD = re.compile(r"[a-z]+")
WORDS = [
    "lorem",
    "ipsum",
    "dolor",
    "sit",
    "amet",
    "consectetur",
    "adipiscing",
    "elit",
    "sed",
    "do",
    "eiusmod",
    "tempor",
]


def count_words(path):
    text = path.read_text(encoding="utf-8")
    return Counter(WORD.findall(text.lower())).most_common(10)


def main():
    with tempfile.TemporaryDirectory() as folder:
        text = " ".join(random.Random(3).choices(WORDS, k=80_000))
        paths = [Path(folder, f"{number}.txt") for number in range(120)]
        for path in paths:
            path.write_text(text, encoding="utf-8")
        total = Counter()
        with Pool(2) as pool:
            for counted in pool.imap_unordered(count_words, paths, chunksize=2):
                total.update(dict(counted))
    print(total.most_common(3))


if __name__ == "__main__":
    main()
