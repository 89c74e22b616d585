"""Threads that hash 4 MB at a time: hashlib lets go of the interpreter's lock.

:verdict: healthy
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor

BLOCK = bytes(4_000_000)


def digest(salt):
    return hashlib.sha256(BLOCK, usedforsecurity=False).hexdigest()[:8], salt


def main():
    with ThreadPoolExecutor(max_workers=2) as executor:
        print(len(dict(executor.map(digest, range(150)))))


if __name__ == "__main__":
    main()
