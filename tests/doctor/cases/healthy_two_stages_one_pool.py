"""One pool serves two stages, one after the other, each well chunked.

:verdict: healthy
"""

import json
from multiprocessing import Pool


def generate(seed):
    rows = [{"id": seed * 200 + n, "tags": [str(n % 7)] * 5, "x": n / 3} for n in range(1500)]
    return len(json.dumps(rows, indent=1, sort_keys=True))


def verify(size):
    text = json.dumps(["x" * 40] * (size // 60), indent=2)
    return len(json.loads(text))


def main():
    with Pool(2) as pool:
        sizes = pool.map(generate, range(240), chunksize=4)
        print(sum(pool.map(verify, sizes, chunksize=4)))


if __name__ == "__main__":
    main()
