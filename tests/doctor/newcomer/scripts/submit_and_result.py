"""submit().result() in a comprehension.

:headline: PW019
:first: together
"""

import concurrent.futures

ITEMS = 100


def count_primes(limit):
    found = 0
    for number in range(2, limit):
        if all(number % divisor for divisor in range(2, int(number**0.5) + 1)):
            found += 1
    return found


def main():
    with concurrent.futures.ProcessPoolExecutor(2) as executor:
        counts = [executor.submit(count_primes, 4000 + n).result() for n in range(ITEMS)]
    print(sum(counts))


if __name__ == "__main__":
    main()
