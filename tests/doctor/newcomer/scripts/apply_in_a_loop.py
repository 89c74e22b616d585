"""apply() in a loop: one worker works, the other waits.

:headline: PW019
:first: together
"""

from multiprocessing import Pool

ITEMS = 100


def price(spot, steps):
    value = spot
    for step in range(steps):
        value += (step % 7 - 3) * 0.001 * value
    return value


def main():
    prices = []
    with Pool(2) as pool:
        for spot in range(ITEMS):
            prices.append(pool.apply(price, (spot, 150_000)))
    print(round(sum(prices), 3))


if __name__ == "__main__":
    main()
