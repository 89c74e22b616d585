"""Joblib told to send every call alone.

:verdict: tasks-too-small
:also: slower-than-serial, startup, not-worth-a-pool
:needs: joblib
"""

from joblib import Parallel, delayed


def increment(value):
    return value + 1


def main():
    calls = (delayed(increment)(value) for value in range(4000))
    print(sum(Parallel(n_jobs=2, batch_size=1)(calls)))


if __name__ == "__main__":
    main()
