"""An asyncio program hands each call to an executor, and awaits it before the next.

:verdict: serial-submission
"""

import asyncio
from concurrent.futures import ProcessPoolExecutor

from effort import compute


def price(option):
    return option + compute(5)


async def main():
    loop = asyncio.get_running_loop()
    total = 0
    with ProcessPoolExecutor(2) as executor:
        for option in range(160):
            total += await loop.run_in_executor(executor, price, option)
    print(total)


if __name__ == "__main__":
    asyncio.run(main())
