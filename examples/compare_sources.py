"""Which packages of this interpreter's standard library are written alike? Needs numpy.

    python examples/compare_sources.py [LIMIT]

Every source file goes to a worker as an array of bytes and comes back as a table of 256 x 256
numbers: how often each byte follows each other one. LIMIT: only about that many files.
"""

import os
import sys
import sysconfig
from collections import defaultdict
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path

import numpy as np

LIBRARY = Path(sysconfig.get_path("stdlib"))
SHOWN = 25
Source = tuple[str, np.ndarray]


def find_sources(limit: int | None) -> list[Path]:
    """Every .py file of the library that is not empty, without what was installed beside it."""
    found = []
    for folder, subfolders, files in os.walk(LIBRARY):
        subfolders[:] = [name for name in subfolders if name != "site-packages"]
        paths = [Path(folder, name) for name in files if name.endswith(".py")]
        found += [path for path in paths if path.stat().st_size]
    step = max(1, len(found) // limit) if limit else 1
    return sorted(found)[::step]


def load(paths: list[Path]) -> Iterator[Source]:
    """The package that each file belongs to, and its bytes: arrays of shape (size,), uint8."""
    for path in paths:
        yield path.relative_to(LIBRARY).parts[0], np.fromfile(path, np.uint8)


def count_pairs(source: Source) -> Source:
    """How often byte b follows byte a in a file: [a, b] of an array of shape (256, 256), int64."""
    package, text = source
    pairs = text[:-1].astype(np.int64) * 256 + text[1:]
    return package, np.bincount(pairs, minlength=256 * 256).reshape(256, 256)


def print_table(counts: dict[str, np.ndarray]) -> None:
    """Each of the largest packages with the one whose habits are nearest to its own."""
    ranked = sorted(counts, key=lambda name: (-counts[name].sum(), name))[:SHOWN]
    alike = compare(np.array([counts[name] for name in ranked]))
    print("package                    pairs  different  most alike")
    for name, row in zip(ranked, alike, strict=True):
        nearest = int(row.argmax())
        print_row(name, counts[name], f"{ranked[nearest]} ({row[nearest]:.3f})")
    print_row("whole library", sum(counts.values()), "")


def compare(tables: np.ndarray) -> np.ndarray:
    """The cosine between the roots of any two tables: shape (n, n), -1 on the diagonal."""
    roots = np.sqrt(tables.reshape(len(tables), -1))
    roots /= np.linalg.norm(roots, axis=1, keepdims=True)
    alike = roots @ roots.T
    np.fill_diagonal(alike, -1)
    return alike


def print_row(title: str, table: np.ndarray, nearest: str) -> None:
    """Print how many pairs there are, and how many different ones."""
    print(f"{title:22} {table.sum():9} {np.count_nonzero(table):10}  {nearest}".rstrip())


def main() -> None:
    """Count in parallel, add up by package, compare the packages."""
    paths = find_sources(int(sys.argv[1]) if len(sys.argv) > 1 else None)
    counts = defaultdict(lambda: np.zeros((256, 256), np.int64))
    with Pool() as pool:
        for package, pairs in pool.imap_unordered(count_pairs, load(paths)):
            counts[package] += pairs
    print_table(counts)


if __name__ == "__main__":
    main()
