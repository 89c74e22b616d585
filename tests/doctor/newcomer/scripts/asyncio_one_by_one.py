"""Each call of an executor is awaited before the next.

:headline: PW019
:first: together
"""

import asyncio
from concurrent.futures import ProcessPoolExecutor

ITEMS = 120


def fibonacci(n):
    a, b = 0, 1
    for _ in range(n):
        a, b = b, (a + b) % 1_000_000_007
    return a


async def handle(loop, executor, number):
    value = await loop.run_in_executor(executor, fibonacci, 200_000 + number)
    return number, value


async def main():
    loop = asyncio.get_running_loop()
    results = {}
    with ProcessPoolExecutor(max_workers=2) as executor:
        for number in range(ITEMS):
            key, value = await handle(loop, executor, number)
            results[key] = value
    print(len(results), sum(results.values()) % 1000)


if __name__ == "__main__":
    asyncio.run(main())
