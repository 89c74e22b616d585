"""Measure the Python sources of this interpreter's own standard library, one table row a package.

    python examples/measure_stdlib.py [LIMIT]

LIMIT: measure only about that many files, spread evenly over the library.
"""

import ast
import os
import sys
import sysconfig
import warnings
from collections import defaultdict
from collections.abc import Iterator
from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

LIBRARY = Path(sysconfig.get_path("stdlib"))
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
DOCUMENTABLE = (ast.Module, ast.ClassDef, *FUNCTIONS)
LOOPS = (ast.For, ast.AsyncFor, ast.While)
BLOCKS = (ast.ClassDef, *FUNCTIONS, *LOOPS, ast.If, ast.With, ast.AsyncWith, ast.Try)


class Measures(NamedTuple):
    """What one file holds; `problem` says why nothing was measured."""

    path: str
    problem: str = ""
    lines: int = 0
    functions: int = 0
    classes: int = 0
    nesting: int = 0
    longest: tuple[int, str] = (0, "")
    documentable: int = 0
    documented: int = 0


def find_sources(limit: int | None) -> list[Path]:
    """Every .py file of the library, without what was installed beside it."""
    found = []
    for folder, subfolders, files in os.walk(LIBRARY):
        subfolders[:] = [name for name in subfolders if name != "site-packages"]
        found += [Path(folder, name) for name in files if name.endswith(".py")]
    step = max(1, len(found) // limit) if limit else 1
    return sorted(found)[::step]


def measure(path: Path) -> Measures:
    """Parse one file and measure it; the library's tests hold files that are broken on purpose."""
    name = path.relative_to(LIBRARY).as_posix()
    try:
        text = path.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Measures(name, problem=type(error).__name__)
    nodes = list(walk_with_depth(tree))
    functions = [node for node, _ in nodes if isinstance(node, FUNCTIONS)]
    documentable = [node for node, _ in nodes if isinstance(node, DOCUMENTABLE)]
    return Measures(
        name,
        lines=text.count(b"\n"),
        functions=len(functions),
        classes=sum(isinstance(node, ast.ClassDef) for node in documentable),
        nesting=max(depth for _, depth in nodes),
        longest=max(((f.end_lineno - f.lineno + 1, f.name) for f in functions), default=(0, "")),
        documentable=len(documentable),
        documented=sum(ast.get_docstring(node) is not None for node in documentable),
    )


def walk_with_depth(tree: ast.AST) -> Iterator[tuple[ast.AST, int]]:
    """Yield every node with the number of blocks it is inside of; `elif` goes no deeper."""
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        for child in ast.iter_child_nodes(node):
            is_elif = isinstance(child, ast.If) and child.col_offset == getattr(
                node, "col_offset", None
            )
            waiting.append((child, depth + (isinstance(node, BLOCKS) and not is_elif)))


def print_table(measured: list[Measures]) -> None:
    """One row a package, the largest first, then what could not be parsed."""
    packages = defaultdict(list)
    for file in measured:
        if not file.problem:
            packages[file.path.split("/")[0]].append(file)
    ranked = sorted(packages, key=lambda name: (-total(packages[name], "lines"), name))
    print("package                files   lines functions classes nesting  docs longest function")
    for package in ranked[:25]:
        print_row(package, packages[package])
    print_row("whole library", [file for file in measured if not file.problem])
    for file in measured:
        if file.problem:
            print(f"not parsed: {file.path} ({file.problem})")


def print_row(title: str, files: list[Measures]) -> None:
    """Print the sums and the extremes of some files."""
    documented = total(files, "documented") / total(files, "documentable")
    length, name = max(file.longest for file in files)
    print(
        f"{title:22} {len(files):5} {total(files, 'lines'):7} {total(files, 'functions'):9} "
        f"{total(files, 'classes'):7} {max(file.nesting for file in files):7} "
        f"{documented:5.0%} {name} ({length} lines)"
    )


def total(files: list[Measures], measure: str) -> int:
    """Add up one measure over some files."""
    return sum(getattr(file, measure) for file in files)


def main() -> None:
    """Measure the files in parallel and print the table."""
    paths = find_sources(int(sys.argv[1]) if len(sys.argv) > 1 else None)
    with Pool() as pool:
        measured = sorted(pool.imap_unordered(measure, paths))
    print_table(measured)


if __name__ == "__main__":
    main()
