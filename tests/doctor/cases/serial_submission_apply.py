"""Pool.apply waits for each result before the next task is handed out.

:verdict: serial-submission
"""

from multiprocessing import Pool

from effort import compute


def price(option):
    return option + compute(6)


def main():
    total = 0
    with Pool(2) as pool:
        for option in range(120):
            total += pool.apply(price, (option,))
    print(total)


if __name__ == "__main__":
    main()
