"""A program under observation does what it does without."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from tests.doctor.programs import observe_script, write_program

SHOW_ITSELF = """
    import json, os, signal, sys
    facts = {
        "argv": sys.argv,
        "path": sys.path,
        "name": __name__,
        "spec": repr(__spec__),
        "file": __file__,
        "handlers": [str(signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM)],
        "flags": repr(sys.flags),
        "threads": len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self") else 1,
        "modules": sorted(n for n in sys.modules if "poolwise" not in n),
    }
    print(json.dumps(facts))
"""

POOLS = """
    import multiprocessing, multiprocessing.pool, sys
    import concurrent.futures as cf

    def work(number):
        return number * 2, multiprocessing.current_process().name

    def look(_):
        return sorted(n for n in sys.modules if "poolwise" not in n)

    if __name__ == "__main__":
        print(multiprocessing.get_start_method(allow_none=True))
        with multiprocessing.Pool(1) as pool:
            print(pool.map(work, range(5)), list(pool.imap(work, range(3))))
            print(pool.map(look, [0]))
        with cf.ProcessPoolExecutor(1) as executor:
            print(list(executor.map(work, range(5), chunksize=2)))
            print(executor.submit(work, 3).result())
        with cf.ThreadPoolExecutor(1) as executor:
            print(list(executor.map(look, range(1))))
        print(multiprocessing.get_start_method())
        print(multiprocessing.Pool.__doc__, multiprocessing.pool.Pool.map.__qualname__)
        print(cf.ProcessPoolExecutor.submit.__qualname__, cf.ThreadPoolExecutor.map.__module__)
"""

FAILURES = """
    import multiprocessing, sys, traceback
    import concurrent.futures as cf

    def fail(number):
        raise KeyError(number)

    def generator(_):
        return (n for n in range(3))

    def broken():
        yield 1
        raise OSError("the input broke")

    def attempt(call):
        try:
            call()
        except Exception:
            print(traceback.format_exc())

    def settle(future):
        cf.wait([future])
        return future.result()

    if __name__ == "__main__":
        with multiprocessing.Pool(1) as pool:
            attempt(lambda: pool.map(fail, [1]))
            attempt(lambda: pool.apply(generator, (1,)))
            attempt(lambda: pool.map(fail, broken()))
            attempt(lambda: list(pool.imap(fail, [1])))
            attempt(lambda: pool.map(lambda x: x, [1]))
        attempt(lambda: pool.map(fail, [1]))
        attempt(lambda: multiprocessing.Pool(0))
        with cf.ProcessPoolExecutor(1) as executor:
            attempt(lambda: settle(executor.submit(fail, 1)))
            attempt(lambda: settle(executor.submit(generator, 1)))
            attempt(lambda: settle(executor.submit(lambda x: x, 1)))
        attempt(lambda: executor.submit(fail, 1))
        with cf.ThreadPoolExecutor(1) as executor:
            attempt(lambda: settle(executor.submit(fail, 1)))
            attempt(lambda: list(executor.map(fail, broken())))
"""


def run_both_ways(tmp_path, source, *words, **options):
    """What the program printed, and its exit code: alone, and under observation."""
    script = str(write_program(tmp_path, source))
    command = [sys.executable, script, *words]
    options.setdefault("stdin", subprocess.DEVNULL)
    alone = subprocess.run(command, capture_output=True, timeout=200, check=False, **options)
    observed, evidence = observe_script(tmp_path, script, *words, **options)
    assert evidence.is_attached
    assert evidence.troubles == []
    return alone, observed


def mask(text: bytes) -> str:
    """Without addresses, process numbers and the lines that marks below a line of code take."""
    masked = re.sub(r"0x[0-9a-f]+|Process-\d+|PoolWorker-\d+", "...", text.decode())
    return "\n".join(line for line in masked.splitlines() if line.strip(" ^~"))


def test_what_a_program_sees_of_itself(tmp_path):
    alone, observed = run_both_ways(tmp_path, SHOW_ITSELF, "one", "--two")
    assert observed.stdout == alone.stdout
    assert (observed.stderr, observed.returncode) == (alone.stderr, 0)


def test_what_pools_give_and_load(tmp_path):
    alone, observed = run_both_ways(tmp_path, POOLS)
    assert mask(observed.stdout) == mask(alone.stdout)
    assert (observed.stderr, observed.returncode) == (alone.stderr, 0)


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="before 3.11 no frame can be taken out of a traceback"
)
def test_tracebacks_do_not_show_us(tmp_path):
    alone, observed = run_both_ways(tmp_path, FAILURES)
    assert mask(observed.stdout) == mask(alone.stdout)
    assert mask(observed.stderr) == mask(alone.stderr)


def test_a_sitecustomize_of_the_program_is_still_loaded(tmp_path):
    theirs = tmp_path / "sitecustomize.py"
    theirs.write_text("print('site', __name__)")
    script = str(write_program(tmp_path, "import sitecustomize; print(sitecustomize.__file__)"))
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    observed, evidence = observe_script(tmp_path, script, env={**os.environ, "PYTHONPATH": path})
    *_, printed, name, file = observed.stdout.decode().split()
    assert (printed, name, file) == ("site", "sitecustomize", str(theirs))
    assert evidence.is_attached
