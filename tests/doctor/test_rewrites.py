"""Edits that move statements: what comes out is run, and does the same."""

from __future__ import annotations

import contextlib
import io
import textwrap
from collections.abc import Callable

import pytest

from poolwise.doctor.advice import patch, rewrites
from poolwise.doctor.evidence.features import Place
from poolwise.doctor.findings import Change

POOLS = """
from multiprocessing.pool import ThreadPool as Pool
from concurrent.futures import ThreadPoolExecutor as Executor


def f(x, y=0):
    return 10 * x + y

"""
HEAD = len(POOLS.splitlines())
"""Lines before a program's own; its call is on the line that ends in `# here`."""


def find(program: str, word: str) -> int:
    return next(n for n, line in enumerate(program.splitlines(), 1) if word in line)


def try_edit(tmp_path, source: str, derive: Callable[[Place, Place], Change | None]) -> str | None:
    """The program with the edit, which prints what it printed before; None if there is none."""
    program = POOLS + textwrap.dedent(source)
    path = tmp_path / "program.py"
    path.write_text(program)
    maker = "Executor(" if "Executor(" in source else "Pool("
    pool, call = (Place(str(path), find(program, word)) for word in (maker, "# here"))
    change = derive(pool, call)
    if change is None:
        return None
    text = patch.new_text([change], str(path))
    assert text is not None
    assert run(text) == run(program)
    return text.removeprefix("import itertools\n")


def run(program: str) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(program, "program", "exec"), {"__name__": "__main__"})
    return printed.getvalue()


LOOPS = {
    "with": (
        "map",
        """
        with Pool(2) as pool:
            print(pool.map(f, range(5), chunksize=2))  # here
            # behind it
        print("done")
        """,
        """
        print(list(map(f, range(5))))  # here
        # behind it
        print("done")
        """,
    ),
    "close and join": (
        "imap_unordered",
        """
        pool = Pool(2)
        for each in sorted(pool.imap_unordered(f, range(5))):  # here
            print(each)
        pool.close()
        pool.join()
        """,
        """
        for each in sorted(map(f, range(5))):  # here
            print(each)
        """,
    ),
    "pool that others use stays": (
        "map",
        """
        with Pool(2) as pool:
            print(sum(pool.map(f, range(5))))  # here
            print(pool.apply(f, (3,)))
        """,
        """
        with Pool(2) as pool:
            print(sum(map(f, range(5))))  # here
            print(pool.apply(f, (3,)))
        """,
    ),
    "text over lines": (
        "map",
        '''
        with Pool(2) as pool:
            print("""a
            b""", sum(pool.map(f, range(5))))  # here
        ''',
        '''
        print("""a
            b""", sum(map(f, range(5))))  # here
        ''',
    ),
    "initializer": ("map", "with Pool(2, print) as pool:\n    pool.map(f, [1])  # here\n", None),
    "stars": ("map", "with Pool(2) as pool:\n    pool.map(*[f, [1]])  # here\n", None),
    "futures": (
        "submit",
        """
        from concurrent.futures import as_completed

        with Executor(2) as pool:
            futures = [pool.submit(f, x, y=1) for x in range(3)]  # here
            total = 0
            for future in as_completed(futures):
                total += future.result()
        print(total, [future.result() for future in futures])
        """,
        """
        from concurrent.futures import as_completed

        futures = [f(x, y=1) for x in range(3)]  # here
        total = 0
        for future in futures:
            total += future
        print(total, [future for future in futures])
        """,
    ),
    "results to come": (
        "apply_async",
        """
        pool = Pool(2)
        tasks = [pool.apply_async(f, args=(x,)) for x in range(3)]  # here
        print(sum(task.get(timeout=9) for task in tasks))
        """,
        None,
    ),
    "futures that are looked at": (
        "submit",
        """
        with Executor(2) as pool:
            futures = [pool.submit(f, x, y=1) for x in range(3)]  # here
        print([future.done() for future in futures])
        """,
        None,
    ),
    "results in a list": (
        "apply_async",
        """
        pool = Pool(2)
        tasks = [pool.apply_async(f, (x,)) for x in range(3)]  # here
        print(sum(task.get(timeout=9) for task in tasks))
        pool.close()
        """,
        """
        tasks = [f(x) for x in range(3)]  # here
        print(sum(task for task in tasks))
        """,
    ),
    "apply": (
        "apply",
        """
        with Pool(2) as pool:
            for x in range(3):
                print(pool.apply(f, (x, 1)))  # here
        """,
        """
        for x in range(3):
            print(f(x, 1))  # here
        """,
    ),
}


@pytest.mark.parametrize("name", LOOPS)
def test_a_pool_becomes_a_loop(name, tmp_path):
    api, before, after = LOOPS[name]

    def derive(pool: Place, call: Place) -> Change | None:
        return rewrites.use_loop(pool, call, api)

    text = try_edit(tmp_path, before, derive)
    assert (text and text[len(POOLS) :]) == (after and textwrap.dedent(after))


def test_a_list_of_futures_becomes_a_map_in_chunks(tmp_path):
    source = """
        from concurrent.futures import as_completed

        with Executor(2) as pool:
            futures = [pool.submit(f, x) for x in range(3)]  # here
            for future in as_completed(futures):
                future.result()
        print(sum(future.result() for future in futures))
        """
    text = try_edit(
        tmp_path, source, lambda _, call: rewrites.use_map_for_futures(call, "submit", 2)
    )
    assert text is not None
    assert "    futures = list(pool.map(f, range(3), chunksize=2))  # here\n" in text
    assert "    for future in futures:\n        future\n" in text


@pytest.mark.parametrize(
    "futures",
    [
        "[pool.submit(f, x, 1) for x in range(3)]",
        "[pool.submit(f, x) for x in range(3) if x]",
        "[pool.submit(f, x + 1) for x in range(3)]",
        "{pool.submit(f, x): x for x in range(3)}",
    ],
)
def test_other_futures_do_not(futures, tmp_path):
    source = f"with Executor(2) as pool:\n    futures = {futures}  # here\n"
    derived = try_edit(
        tmp_path, source, lambda _, call: rewrites.use_map_for_futures(call, "submit", 2)
    )
    assert derived is None


def test_starmap_and_several_inputs_become_loops(tmp_path):
    source = """
        with Pool(2) as pool:
            print(pool.starmap(f, [(1, 2), (3, 4)]))  # here
        """
    text = try_edit(tmp_path, source, lambda pool, call: rewrites.use_loop(pool, call, "starmap"))
    assert text is not None
    assert "print(list(itertools.starmap(f, [(1, 2), (3, 4)])))" in text


KEPT = {
    "with": (
        """
        total = 0
        for step in range(3):
            # each step
            start = total
            with Pool(2) as pool:
                total += sum(pool.map(f, range(step)))

            print(start, total)
        """,
        """
        total = 0
        with Pool(2) as pool:
            for step in range(3):
                # each step
                start = total
                total += sum(pool.map(f, range(step)))

                print(start, total)
        """,
    ),
    "what its functions read": (
        """
        def g(x):
            return x + offset

        for offset in range(3):
            with Pool(2) as pool:
                print(pool.map(g, [1]))
        """,
        None,
    ),
    "what a function sets": (
        """
        def main():
            global offset
            for step in range(3):
                offset = step
                with Pool(2) as pool:
                    print(pool.map(f, [1]))
        main()
        """,
        None,
    ),
    "what a function changes": (
        """
        OPTIONS = {}
        def main():
            for step in range(3):
                OPTIONS["step"] = step
                with Pool(2) as pool:
                    print(pool.map(f, [1]))
        main()
        """,
        None,
    ),
    "pool that differs": ("for n in (1, 2):\n    with Pool(n) as pool:\n        pass\n", None),
    "pool that is closed": (
        "for n in (1, 2):\n    with Pool() as pool:\n        pool.close()\n",
        None,
    ),
    "no loop": ("with Pool(2) as pool:\n    pool.map(f, [1])\n", None),
}


@pytest.mark.parametrize("name", KEPT)
def test_a_pool_is_kept_over_a_loop(name, tmp_path):
    before, after = KEPT[name]
    source = f"{textwrap.dedent(before)}\n# here"
    text = try_edit(tmp_path, source, lambda pool, _: rewrites.keep_pool(pool))
    assert (text and text[len(POOLS) :]) == (after and f"{textwrap.dedent(after)}\n# here")


AT_ONCE = {
    "loop": (
        "apply",
        """
        out = []
        with Pool(2) as pool:
            for a, b in [(1, 2), (3, 4)]:
                value = pool.apply(f, (a, b))  # here
                out.append((a, value))
        print(out)
        """,
        """
        out = []
        with Pool(2) as pool:
            tasks = [((a, b), pool.apply_async(f, (a, b))) for a, b in [(1, 2), (3, 4)]]
            for (a, b), task in tasks:
                value = task.get()  # here
                out.append((a, value))
        print(out)
        """,
    ),
    "futures": (
        "submit",
        """
        with Executor(2) as pool:
            for x in range(3):
                print(pool.submit(f, x, y=x).result())  # here
        """,
        """
        with Executor(2) as pool:
            tasks = [(x, pool.submit(f, x, y=x)) for x in range(3)]
            for x, task in tasks:
                print(task.result())  # here
        """,
    ),
    "comprehension": (
        "apply_async",
        """
        with Pool(2) as pool:
            print(
                {x: pool.apply_async(f, (x,)).get() for x in [1]}  # here
            )
        """,
        """
        with Pool(2) as pool:
            print(
                {x: task.get() for x, task in [(x, pool.apply_async(f, (x,))) for x in [1]]}  # here
            )
        """,
    ),
    "one needs the other": (
        "apply",
        """
        x = 1
        with Pool(2) as pool:
            for n in range(3):
                x = pool.apply(f, (x, n))  # here
        """,
        None,
    ),
    "changed on the way": (
        "apply",
        """
        known = [1]
        with Pool(2) as pool:
            for n in range(3):
                known.append(pool.apply(sum, (known,)))  # here
        """,
        None,
    ),
    "made on the way": (
        "apply",
        """
        with Pool(2) as pool:
            for n in range(3):
                x = n + 1
                pool.apply(f, (x,))  # here
        """,
        None,
    ),
    "ends early": (
        "apply",
        """
        with Pool(2) as pool:
            for n in range(3):
                if pool.apply(f, (n,)):  # here
                    break
        """,
        None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", AT_ONCE)
def test_tasks_are_handed_out_before_the_first_result_is_waited_for(name, tmp_path):
    api, before, after = AT_ONCE[name]
    text = try_edit(tmp_path, before, lambda _, call: rewrites.hand_out_first(call, api))
    assert (text and text[len(POOLS) :]) == (after and textwrap.dedent(after))


def test_coroutines_that_wait_for_an_executor_run_at_once(tmp_path):
    source = """
        import asyncio

        async def handle(loop, pool, x):
            return x, await loop.run_in_executor(pool, f, x)  # here

        async def main():
            loop = asyncio.get_running_loop()
            with Executor(2) as pool:
                for x in range(3):
                    n, value = await handle(loop, pool, x)
                    print(n, value)

        asyncio.run(main())
        """
    text = try_edit(
        tmp_path, source, lambda _, call: rewrites.hand_out_first(call, "run_in_executor")
    )
    assert text is not None
    assert "tasks = [(x, asyncio.ensure_future(handle(loop, pool, x))) for x in range(3)]" in text
    assert "n, value = await task" in text


def test_a_generator_is_read_as_it_is_needed(tmp_path):
    source = """
        with Pool(2) as pool:
            print(len(pool.map(f, (x for x in range(9)))))  # here
        """
    text = try_edit(tmp_path, source, lambda _, call: rewrites.stream(call, "map", 4))
    assert text is not None
    assert "print(len(list(pool.imap(f, (x for x in range(9)), chunksize=4))))" in text
