"""Checksums of short account numbers through imap_unordered, whose chunksize is 1 by default.

:verdict: tasks-too-small
:also: slower-than-serial
"""

from multiprocessing import Pool


def checksum(account):
    value = account
    for digit in range(300):
        value ^= digit * account & 0xFF
    return value


def main():
    with Pool(2) as pool:
        print(sum(pool.imap_unordered(checksum, range(30_000))))


if __name__ == "__main__":
    main()
