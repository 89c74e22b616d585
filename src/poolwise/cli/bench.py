"""`poolwise bench`: from which size on shared memory pays on this machine."""

from __future__ import annotations

import argparse

_EPILOG = """\
To use what was found:  export POOLWISE_SHARE_FROM_BYTES=...
"""


def main(argv: list[str]) -> int:
    """Measure, and print a line for each size and the threshold."""
    options = _parser().parse_args(argv)
    from poolwise.tune.sharing import find_threshold, measure_sharing
    from poolwise.wire.payload import LEAST_BLOCK_BYTES

    print("one call with an argument of      in the pickle   in shared memory")
    measured = []
    for sharing in measure_sharing(options.rounds):
        measured.append(sharing)
        pickled_us, shared_us = sharing.pickled_s * 1e6, sharing.shared_s * 1e6
        print(f"{sharing.size_bytes >> 10:>24} KiB {pickled_us:>14.0f} us {shared_us:>15.0f} us")
    threshold = find_threshold(measured)
    if threshold is None:
        print("Shared memory was faster at no size (is the machine busy?).")
        return 1
    print(f"Shared memory pays from {threshold >> 10} KiB on", end="; ")
    print(f"poolwise uses it from {LEAST_BLOCK_BYTES >> 10} KiB on.")
    if threshold != LEAST_BLOCK_BYTES:
        print(f"To change that:  export POOLWISE_SHARE_FROM_BYTES={threshold}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="poolwise bench",
        description="Measure from which size on shared memory pays on this machine.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--rounds", metavar="N", type=_rounds, default=7, help="repetitions of each size (7)"
    )
    return parser


def _rounds(word: str) -> int:
    if not word.isdecimal() or int(word) < 1:
        message = f"the number of rounds is 1 or more, not {word!r}"
        raise argparse.ArgumentTypeError(message)
    return int(word)
