"""Megabytes in each message, and a second of work for them: the weight does not matter.

:verdict: healthy
"""

from multiprocessing import Pool

from effort import compute


def transcode(clip):
    return len(clip) + compute(60)


def main():
    clips = [bytes([clip]) * 1_000_000 for clip in range(24)]
    with Pool(2) as pool:
        print(sum(pool.map(transcode, clips, chunksize=1)))


if __name__ == "__main__":
    main()
