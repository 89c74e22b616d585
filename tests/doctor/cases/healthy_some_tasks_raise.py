"""A tenth of the tasks raises, another returns what cannot be pickled; the rest is good work.

:verdict: healthy
"""

from multiprocessing import Pool
from multiprocessing.pool import MaybeEncodingError

from effort import compute


def measure(sensor):
    value = compute(4)
    if sensor % 10 == 3:
        message = f"sensor {sensor} is silent"
        raise ValueError(message)
    if sensor % 10 == 7:
        return lambda: value  # cannot travel
    return value


def main():
    failures = 0
    with Pool(2) as pool:
        for result in [pool.apply_async(measure, (sensor,)) for sensor in range(300)]:
            try:
                result.get()
            except (ValueError, MaybeEncodingError):
                failures += 1
    print(failures, "of 300 failed")


if __name__ == "__main__":
    main()
