"""Well batched, and still: moving a row costs more than adding up its three numbers.

:verdict: slower-than-serial
:also: payload-args, tasks-too-small
"""

from multiprocessing import Pool


def total(row):
    return row["price"] + row["tax"] + row["post"]


def main():
    rows = [{"id": f"order {n}", "price": n, "tax": n % 7, "post": 3} for n in range(400_000)]
    with Pool(2) as pool:
        print(sum(pool.map(total, rows)))


if __name__ == "__main__":
    main()
