"""The article's manual batches (a fifth of them), which Pool.map batches once more.

:verdict: imbalance-chunks
:also: oversubscribed-processes, vectorise-instead, healthy
"""

from multiprocessing import Pool


def process_batch(batch):
    results = []
    for x in batch:
        s = 0
        for i in range(50_000):
            s += (x + i) % 11
        results.append(s)
    return results


def chunked(iterable, size):
    it = iter(iterable)
    while True:
        chunk = []
        try:
            for _ in range(size):
                chunk.append(next(it))
        except StopIteration:
            if chunk:
                yield chunk
            break
        yield chunk


if __name__ == "__main__":
    data = range(600)
    batches = list(chunked(data, 30))

    with Pool(4) as pool:
        batch_results = pool.map(process_batch, batches)

    results = [r for batch in batch_results for r in batch]
    print(len(results))
