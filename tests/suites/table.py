"""Suites and programs of others that use a pool: which, and how each is run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Suite:
    """Tests that pytest runs.

    :param requires: the package with its version.
    :param tests: modules of the installed package; or files in its source distribution.
    :param options: for pytest.
    :param also: what else its tests import.
    :param runner: script beside this one that runs pytest, with ours in the place of what is
        tested; else that is done by `install()`.
    """

    requires: str
    tests: tuple[str, ...]
    options: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    runner: str = ""

    @property
    def is_in_source(self) -> bool:
        return "/" in self.tests[0]


@dataclass(frozen=True)
class Program:
    """Python program that is run in a folder of Python packages.

    How it ends, what it prints and what it makes of the files are compared to the byte, and the
    lines on stderr in any order.

    :param requires: the package with its version; nothing of the standard library.
    :param command: what follows the interpreter.
    :param in_any_order: it prints as its workers come to an end, which is never twice the same.
    """

    requires: str
    command: str
    in_any_order: bool = False


SUITES = (
    Suite("tqdm==4.70.1", ("tests/tests_concurrent.py",)),
    Suite(
        "joblib==1.6.0",
        ("joblib.test.test_parallel", "joblib.test.test_memmapping"),
        ("-k", "multiprocessing"),
    ),
    Suite(
        "joblib==1.6.0",
        ("joblib.test.test_parallel", "joblib.test.test_config"),
        ("-k", "not dask"),
        runner="instead_of_loky.py",
    ),
    Suite(
        "scipy==1.17.1",
        (
            "scipy.optimize.tests.test__differential_evolution",
            "scipy.optimize.tests.test__numdiff",
            "scipy.optimize.tests.test__shgo",
            "scipy.optimize.tests.test_differentiable_functions",
            "scipy.optimize.tests.test_least_squares",
            "scipy.optimize.tests.test_optimize",
            "scipy.integrate.tests.test__quad_vec",
            "scipy.stats.tests.test_mgc",
            "scipy._lib.tests.test__util",
        ),
        ("-k", "worker or parallel or pool or Pool or MapWrapper or brute"),
    ),
    Suite("dynesty==3.1.0", ("tests/test_pool.py",)),
    Suite("dask[array,bag]==2026.8.0", ("dask.tests.test_multiprocessing",)),
    Suite("pandarallel==1.6.5", ("tests/test_pandarallel.py",), also=("pandas<3", "setuptools<80")),
    Suite("schwimmbad==0.4.2", ("tests/test_pools.py",)),
    Suite("pqdm==0.2.0", ("tests/test_pqdm.py",)),
    Suite("lmfit==1.3.4", ("tests/test_brute.py", "tests/test_jacobian_pickling.py")),
)

PROGRAMS = (
    # Its own tests make no pool.
    Program("emcee==3.1.6", str(Path(__file__).with_name("sampler.py"))),
    Program("black==26.10.1", "-m black --workers 2 ."),
    Program("isort==9.0.2", "-m isort --jobs 2 .", in_any_order=True),
    Program("flake8==7.5.0", "-m flake8 -j 2 ."),
    # What it says of code that is there twice depends on which worker gets which file.
    Program(
        "pylint==4.1.4",
        "-m pylint -j 2 --score=n --persistent=n --disable=R0801 json concurrent",
    ),
    Program("yapf==0.43.0", "-m yapf --parallel --diff --recursive .", in_any_order=True),
    Program("autopep8==2.3.2", "-m autopep8 -j 2 --diff --recursive ."),
    Program("lizard==1.24.3", "-m lizard -t 2 .", in_any_order=True),
    Program("", "-m compileall -j 2 .", in_any_order=True),
)

PACKAGES = ("json", "concurrent", "wsgiref")
"""Of the standard library, which the programs are given copies of."""

_NAMES_LOKY = "it asks for the name of loky's class"
_NO_FILE = "it asks for np.memmap: ours are read-only arrays in shared memory, without a file"

DIFFERENCES: dict[str, str] = {
    "joblib==* *test_backend_context_manager[[]*-loky]": _NAMES_LOKY,
    "joblib==* *test_backend_hinting_and_constraints*": _NAMES_LOKY,
    "joblib==* *test_nested_parallelism_limit[[]*-loky]": _NAMES_LOKY,
    "joblib==* *test_parallel_config_no_backend": _NAMES_LOKY,
    "joblib==* *test_parallel_config_params_explicit_set": _NAMES_LOKY,
    "joblib==* *test_nested_parallel_warnings[[]loky-multiprocessing-True]": (
        "joblib makes no pool of multiprocessing's in loky's workers; in ours there is one"
    ),
    "joblib==* *test_auto_memmap_on_arrays_from_generator[[]loky]": _NO_FILE,
    "joblib==* *test_memmapping_leaks[[]loky]": _NO_FILE,
    "joblib==* *test_multiple_generator_call_separated_gc[[]*-loky-True]": (
        "it wants an error where two calls share loky's executor; of ours each has its own"
    ),
}
"""Name of a suite or program and of a test, with wildcards -> why ours differs there."""
