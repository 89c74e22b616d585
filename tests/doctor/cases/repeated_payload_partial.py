"""A price list of 60,000 entries travels with every order, inside functools.partial.

:verdict: repeated-payload
"""

from functools import partial
from multiprocessing import Pool


def bill(prices, order):
    return sum(prices[(order * line) % len(prices)] for line in range(2000))


def main():
    prices = {article: article % 97 * 3 for article in range(60_000)}
    with Pool(2) as pool:
        bills = pool.map(partial(bill, prices), range(120), chunksize=1)
    print(sum(bills))


if __name__ == "__main__":
    main()
