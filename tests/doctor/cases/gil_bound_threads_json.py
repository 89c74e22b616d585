"""ThreadPool over json: C code that does not let go of the interpreter's lock.

:verdict: gil-bound-threads
"""

import json
from multiprocessing.pool import ThreadPool

RECORD = {"id": 1, "name": "sensor", "values": list(range(40)), "tags": {"a": [1, 2], "b": None}}


def round_trip(number):
    text = json.dumps([dict(RECORD, id=number)] * 300, indent=1)
    return len(json.loads(text))


def main():
    with ThreadPool(4) as pool:
        print(sum(pool.map(round_trip, range(150), chunksize=1)))


if __name__ == "__main__":
    main()
