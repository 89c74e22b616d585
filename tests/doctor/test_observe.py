"""What is seen of programs that use each library, in each way to start workers."""

from __future__ import annotations

import os
import sys
from types import SimpleNamespace

import pytest

from poolwise.account.states import STATES
from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.gather import ledger as gather_ledger
from tests.doctor.programs import observe_script, observe_source, write_program

FUNCTION = """
def work(number):
    return number + 1

"""

POOL, EXECUTOR = "multiprocessing.Pool", "ProcessPoolExecutor"

POOLS = {
    "map": (POOL, "pool.map(work, range(40))", 8, 40),
    "starmap": (POOL, "pool.starmap(work, [(n,) for n in range(40)], 10)", 4, 40),
    "imap": (POOL, "list(pool.imap(work, iter(range(9))))", 9, 9),
    "imap in chunks": (POOL, "list(pool.imap_unordered(work, range(20), 5))", 4, 20),
    "apply": (POOL, "[pool.apply(work, (n,)) for n in range(5)]", 5, 5),
    "ThreadPool": ("ThreadPool", "pool.map(work, range(16), 4)", 4, 16),
    "executor map": (EXECUTOR, "list(pool.map(work, range(12)))", 12, 12),
    "executor chunks": (EXECUTOR, "list(pool.map(work, range(12), chunksize=3))", 4, 12),
    "submit": (EXECUTOR, "[f.result() for f in [pool.submit(work, n) for n in range(7)]]", 7, 7),
    "threads": ("ThreadPoolExecutor", "list(pool.map(work, range(11)))", 11, 11),
}

MAKERS = {
    POOL: "multiprocessing.Pool(2)",
    "ThreadPool": "multiprocessing.pool.ThreadPool(2)",
    EXECUTOR: "ProcessPoolExecutor(2)",
    "ThreadPoolExecutor": "ThreadPoolExecutor(2)",
}


def write(pool: str, call: str, start_method: str = "fork") -> str:
    return f"""
import multiprocessing, multiprocessing.pool
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
{FUNCTION}
if __name__ == "__main__":
    multiprocessing.set_start_method({start_method!r})
    with {pool} as pool:
        {call}
"""


def test_a_program_that_installs_our_pools_itself_is_observed(tmp_path):
    source = "import poolwise\npoolwise.install()\n" + write(
        "multiprocessing.Pool(2)", "pool.map(work, range(40))"
    )
    (pool,) = observe_source(tmp_path, source).pools
    assert (pool.kind, pool.items) == ("poolwise", 40)


@pytest.mark.parametrize("case", POOLS)
def test_pool_is_seen_whole(case, tmp_path):
    kind, call, messages, items = POOLS[case]
    evidence = observe_source(tmp_path, write(MAKERS[kind], call))
    assert evidence.is_attached
    assert evidence.troubles == []
    (pool,) = evidence.pools
    assert (pool.kind, pool.slots) == (kind, 2)
    assert (pool.messages, pool.items, pool.recorded) == (messages, items, messages)
    assert pool.identity == pytest.approx(1, abs=0.005)
    assert sum(pool.account.values()) == pytest.approx(2 * pool.region_s)
    (site,) = pool.sites
    assert site.function == "__main__.work"
    assert site.place.line == 12


@pytest.mark.parametrize("start_method", ["spawn", "forkserver"])
@pytest.mark.parametrize("maker", ["multiprocessing.Pool(2)", "ProcessPoolExecutor(2)"])
def test_start_methods(start_method, maker, tmp_path):
    evidence = observe_source(
        tmp_path, write(maker, "list(pool.map(work, range(9)))", start_method)
    )
    (pool,) = evidence.pools
    assert (pool.method, evidence.troubles) == (start_method, [])
    assert pool.identity == pytest.approx(1, abs=0.005)
    assert pool.items == 9
    assert pool.recorded == pool.messages
    assert evidence.program.unseen_processes == 0
    fresh = [worker for worker in pool.workers if worker.messages]
    assert fresh
    if start_method == "spawn":
        assert pool.startup.interpreter_s > 0


OURS = """
import poolwise
import multiprocessing.pool, concurrent.futures

def work(number):
    return number + 1

if __name__ == "__main__":
    with {maker} as pool:
        print(sum(pool.map(work, range(100))))
"""


@pytest.mark.parametrize(
    "maker", ["poolwise.Pool(2)", "poolwise.ProcessPoolExecutor(2)"], ids=["Pool", "executor"]
)
def test_our_own_pools_by_their_ledger(maker, tmp_path):
    evidence = observe_source(tmp_path, OURS.format(maker=maker))
    assert evidence.troubles == []
    (pool,) = evidence.pools
    assert (pool.kind, pool.slots, pool.items) == ("poolwise", 2, 100)
    assert pool.messages == sum(worker.messages for worker in pool.workers) > 0
    assert pool.identity == pytest.approx(1, abs=0.005)
    assert sum(pool.account.values()) == pytest.approx(2 * pool.region_s)
    assert set(pool.account) <= set(STATES)
    assert pool.place.line == 9


def test_a_program_under_poolwise_run(tmp_path):
    script = write_program(tmp_path, OURS.format(maker="multiprocessing.Pool(2)"))
    run, evidence = observe_script(tmp_path, "-m", "poolwise", "run", str(script))
    assert (run.stdout, run.stderr) == (b"5050\n", b"")
    assert evidence.troubles == []
    assert [(pool.kind, pool.items) for pool in evidence.pools] == [("poolwise", 100)]


def test_joblib(tmp_path):
    pytest.importorskip("joblib")
    evidence = observe_source(
        tmp_path,
        f"""
from joblib import Parallel, delayed
{FUNCTION}
if __name__ == "__main__":
    Parallel(n_jobs=2, batch_size=5)(delayed(work)(n) for n in range(40))
""",
    )
    (pool,) = evidence.pools
    assert (pool.kind, pool.items, pool.recorded) == ("loky", 40, pool.messages)
    assert pool.identity == pytest.approx(1, abs=0.005)
    assert {site.function for site in pool.sites} == {"__main__.work"}
    assert {site.place.line for site in pool.sites} == {9}


BY_HAND = """
from multiprocessing import {imports}

def serve(requests, answers):
    for number in iter(requests.{take}, None):
        answers.{give}(number * 2)

if __name__ == "__main__":
    {make}
    workers = [Process(target=serve, args=(theirs, back)) for theirs, back in ends]
    for worker in workers:
        worker.start()
    for ours in fronts:
        for number in range(20):
            ours.{give}(number)
        ours.{give}(None)
    print(sum(answer.{take}() for answer in backs for _ in range(20)))
    for worker in workers:
        worker.join()
"""

MADE_BY_HAND = {
    "Queue": BY_HAND.format(
        imports="Process, Queue",
        take="get",
        give="put",
        make="pairs = [(Queue(), Queue()) for _ in range(2)]; ends = pairs;"
        " fronts, backs = zip(*pairs)",
    ),
    "SimpleQueue": BY_HAND.format(
        imports="Process, SimpleQueue",
        take="get",
        give="put",
        make="pairs = [(SimpleQueue(), SimpleQueue()) for _ in range(2)]; ends = pairs;"
        " fronts, backs = zip(*pairs)",
    ),
    "Pipe": BY_HAND.format(
        imports="Process, Pipe",
        take="recv",
        give="send",
        make="pairs = [Pipe() for _ in range(2)]; ends = [(b, b) for _, b in pairs];"
        " fronts = backs = [a for a, _ in pairs]",
    ),
}


@pytest.mark.parametrize("kind", MADE_BY_HAND)
def test_pools_made_by_hand(kind, tmp_path):
    evidence = observe_source(tmp_path, MADE_BY_HAND[kind])
    assert evidence.troubles == []
    (pool,) = evidence.pools
    assert (pool.kind, pool.slots, pool.messages, pool.recorded) == ("hand-made", 2, 40, 40)
    assert pool.sites[0].function == "__main__.serve"
    assert pool.identity == pytest.approx(1, abs=0.005)
    counts = {}
    for channel in evidence.channels:
        assert channel.kind == kind
        counts[channel.operation] = counts.get(channel.operation, 0) + channel.calls
    assert sorted(counts.values()) == [82, 82]
    assert all(channel.place.line for channel in evidence.channels)


def test_threads_of_asyncio(tmp_path):
    evidence = observe_source(
        tmp_path,
        """
import asyncio

def work(number):
    return number + 1

async def main():
    return await asyncio.gather(*[asyncio.to_thread(work, number) for number in range(6)])

if __name__ == "__main__":
    print(asyncio.run(main()))
""",
    )
    (pool,) = evidence.pools
    assert (pool.kind, pool.items) == ("ThreadPoolExecutor", 6)
    assert [(site.function, site.place.line) for site in pool.sites] == [("__main__.work", 11)]


def test_a_process_class_with_a_run_of_its_own(tmp_path):
    evidence = observe_source(
        tmp_path,
        """
from multiprocessing import Process, SimpleQueue

class Server(Process):
    def __init__(self, queue):
        super().__init__()
        self.queue = queue

    def run(self):
        while self.queue.get() is not None:
            pass

if __name__ == "__main__":
    queue = SimpleQueue()
    servers = [Server(queue) for _ in range(2)]
    for server in servers:
        server.start()
    for message in [*range(10), None, None]:
        queue.put(message)
    for server in servers:
        server.join()
""",
    )
    (pool,) = evidence.pools
    assert (pool.kind, pool.messages) == ("hand-made", 10)
    assert pool.sites[0].function == "__main__.Server"


def test_calls_through_a_managers_proxies(tmp_path):
    evidence = observe_source(
        tmp_path,
        """
from multiprocessing import Manager, Pool

def add(box):
    box.append(1)

if __name__ == "__main__":
    with Manager() as manager, Pool(2) as pool:
        box = manager.list()
        pool.map(add, [box] * 30)
        print(len(box))
""",
    )
    calls = {(proxy.type, proxy.method): proxy for proxy in evidence.proxies}
    appends = calls["list", "append"]
    assert (appends.calls, appends.place.line) == (30, 5)
    assert appends.inside_tasks_s > 0
    assert calls["list", "__len__"].inside_tasks_s == 0


def test_a_nested_pool_belongs_to_its_worker(tmp_path):
    evidence = observe_source(
        tmp_path,
        f"""
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import Pool
{FUNCTION}
def outer(number):
    with Pool(2) as pool:
        return sum(pool.map(work, range(6)))

if __name__ == "__main__":
    with ProcessPoolExecutor(2) as executor:
        list(executor.map(outer, range(3)))
""",
    )
    outer, *inner = evidence.pools
    assert (outer.kind, len(inner)) == ("ProcessPoolExecutor", 3)
    assert {pool.pid for pool in inner} <= {worker.pid for worker in outer.workers}
    assert all(pool.identity == pytest.approx(1, abs=0.005) for pool in evidence.pools)


def test_the_weight_of_each_argument(tmp_path):
    evidence = observe_source(
        tmp_path,
        """
from functools import partial
from multiprocessing import Pool

def price(table, order):
    return len(table) + len(order)

if __name__ == "__main__":
    with Pool(2) as pool:
        table = {n: str(n) for n in range(5000)}
        pool.map(partial(price, table), [bytes([n]) * 900 for n in range(16)], chunksize=1)
""",
    )
    table, order = evidence.pools[0].leaves
    assert (table.name, table.parameter, table.type) == ("partial.args[0]", "table", "dict")
    assert table.is_repeated
    assert table.share_of_bytes_out > 0.9
    assert (order.name, order.type, order.is_the_item) == ("arg", "bytes", True)
    assert order.distinct == order.sampled > 3
    assert evidence.pools[0].bytes_out > 16 * table.size_bytes


def test_a_killed_worker_loses_nothing_recorded(tmp_path):
    evidence = observe_source(
        tmp_path,
        """
import os, signal, sys
from concurrent.futures import ProcessPoolExecutor

def work(number):
    if number == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return number

if __name__ == "__main__":
    with ProcessPoolExecutor(1) as executor:
        futures = [executor.submit(work, number) for number in range(9)]
        print(sum(1 for future in futures if future.exception()))
""",
    )
    (pool,) = evidence.pools
    assert pool.recorded == 5
    (death,) = pool.deaths
    assert death.exit_code == -9
    assert death.running_s > 0
    assert pool.identity == pytest.approx(1, abs=0.005)


def test_a_slow_message_after_many_quick_ones_is_counted_once(tmp_path):
    """When messages come fast, those that nobody will look at are counted ahead."""
    evidence = observe_source(
        tmp_path,
        """
        import time
        from multiprocessing import Pool

        def work(number):
            if number >= 19_992:
                time.sleep(0.0012)

        if __name__ == "__main__":
            for _ in range(3):
                with Pool(1) as pool:
                    pool.map(work, range(19_993), chunksize=1)
        """,
    )
    assert [pool.messages for pool in evidence.pools] == [19_993] * 3


def test_workers_that_are_told_to_end_are_no_deaths(tmp_path):
    evidence = observe_source(
        tmp_path, write("multiprocessing.Pool(2)", "pool.map(work, range(9))")
    )
    assert evidence.pools[0].deaths == []


def test_forked_workers_that_draw_the_same_numbers(tmp_path):
    pytest.importorskip("numpy")
    evidence = observe_source(
        tmp_path,
        """
import time
from multiprocessing import get_context
import numpy as np

def draw(_):
    time.sleep(0.05)
    return np.random.random()

if __name__ == "__main__":
    np.random.seed(1)
    with get_context("fork").Pool(2) as pool:
        pool.map(draw, range(4), chunksize=1)
""",
    )
    streams = {stream.name: stream for stream in evidence.pools[0].random_streams}
    assert (streams["numpy.random"].distinct_starts, streams["numpy.random"].used) == (1, True)
    assert streams["random"].used is False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what threads wait for")
def test_blocked_time_has_a_cause(tmp_path):
    call = "pool.map(time.sleep, [0.3] * 2, chunksize=1)"
    evidence = observe_source(tmp_path, "import time" + write("multiprocessing.Pool(2)", call))
    if not evidence.program.can_see_causes:
        pytest.skip("this system hides the kernel's wait channels")
    (pool,) = evidence.pools
    # Until Python 3.10 `time.sleep` is a `select` on nothing.
    assert max(pool.blocked_by, key=pool.blocked_by.get) in {"sleep", "poll"}
    assert pool.account["run_blocked"] == pytest.approx(sum(pool.blocked_by.values()))
    assert pool.account["run_blocked"] > 0.5


def test_item_times_keep_the_order_of_the_input(tmp_path):
    call = "pool.map(time.sleep, [0.001] * 19 + [0.2], chunksize=5)"
    evidence = observe_source(tmp_path, "import time" + write("multiprocessing.Pool(2)", call))
    (site,) = evidence.pools[0].sites
    assert site.item_times.index_of_max == 19
    assert site.series_s.index(max(site.series_s)) == 19
    assert site.series_step == 1


@pytest.mark.parametrize("options", [{"env": {}}, {"flags": ["-I"]}], ids=["env", "isolated"])
def test_a_python_that_is_shut_off_is_counted_and_said(options, tmp_path):
    evidence = observe_source(
        tmp_path,
        f"""
        import subprocess, sys
        code = "import time; end = time.monotonic() + 1\\nwhile time.monotonic() < end: pass"
        command = [sys.executable, *{options.get("flags", [])!r}, "-c", code]
        subprocess.run(command, env={options.get("env")!r}, check=True)
        """,
    )
    assert evidence.program.unseen_processes == 1
    assert evidence.program.unseen_s > 0.1
    assert "1 Python process of the program could not be looked into" in diagnose(evidence).summary


def test_workers_that_never_get_ready_are_told_with_their_cause(tmp_path):
    """Spawned workers import a main module that makes a pool, and die of that, for ever."""
    evidence = observe_source(
        tmp_path,
        """
        import multiprocessing, os, threading

        if __name__ == "__main__":  # in the program itself: until a few have died
            threading.Timer(3, os._exit, [0]).start()
        context = multiprocessing.get_context("spawn")
        with context.Pool(2) as pool:
            pool.map(abs, range(100))
        """,
    )
    pool = next(pool for pool in evidence.pools if pool.messages)
    assert len(pool.deaths) > 2
    assert not any(death.was_ready for death in pool.deaths)
    assert pool.identity == pytest.approx(1, abs=0.005)
    diagnosis = diagnose(evidence)
    assert diagnosis.verdict == "worker-died"
    assert "before they were ready" in diagnosis.summary
    assert "__main__" in diagnosis.findings[0].remedies[0].words


OUR_CALLS = """
import poolwise, time

def work(number):
    time.sleep(0.02 if number == 7 else 0.002)
    return number

def parse():
    for number in range(12):
        time.sleep(0.004)
        yield number

def load():
    pass

if __name__ == "__main__":
    with {maker} as pool:
        list(pool.map(work, range(20)))
        {single}
        {streamed}
"""


@pytest.mark.parametrize(
    ("maker", "single", "streamed", "apis"),
    [
        (
            "poolwise.Pool(2, initializer=load, maxtasksperchild=50)",
            "pool.apply(work, (1,))",
            "list(pool.imap(work, parse()))",
            {"map", "apply", "imap"},
        ),
        (
            "poolwise.ProcessPoolExecutor(2, initializer=load, max_tasks_per_child=50)",
            "pool.submit(work, 1).result()",
            "list(pool.map(work, parse()))",
            {"map", "submit"},
        ),
    ],
    ids=["Pool", "executor"],
)
def test_the_calls_of_our_own_pools(maker, single, streamed, apis, tmp_path):
    """As much is known of them as of those of a standard pool: place, times in order, waits."""
    source = OUR_CALLS.format(maker=maker, single=single, streamed=streamed)
    evidence = observe_source(tmp_path, source)
    assert evidence.troubles == []
    (pool,) = evidence.pools
    assert pool.initializer == "__main__.load"
    assert pool.max_tasks_per_child == 50
    assert pool.method in {"fork", "spawn", "forkserver"}
    assert {site.api for site in pool.sites} == apis
    by_line = {site.place.line: site for site in pool.sites}
    assert set(by_line) == {18, 19, 20}
    assert {site.place.file for site in pool.sites} == {str(tmp_path / "program.py")}
    mapped, streamed_site = by_line[18], by_line[20]
    assert mapped.function_place.line == 4
    assert len(mapped.series_s) == 20
    assert mapped.first_s < mapped.last_s <= streamed_site.last_s
    assert streamed_site.account["input_slow"] >= 0.8 * pool.account["input_slow"]
    for state in ("input_slow", "parent_send", "hand_over"):
        told = sum(site.account[state] for site in pool.sites)
        assert told == pytest.approx(pool.account[state], abs=1e-6)


def test_the_end_of_a_chunk_that_is_told_apart_is_no_item():
    spans = [
        SimpleNamespace(job=1, first=first, items=items, begun_s=0.0, ended_s=0.1 * items)
        for first, items in [(2, 1), (0, 2), (2, 0)]
    ]
    assert gather_ledger._series(SimpleNamespace(items=3), spans) == ([0.1] * 3, 1.0)


def test_futures_of_our_own_pools_that_are_waited_for(tmp_path):
    """Waiting is no callback, and calls that travel together were outstanding together."""
    evidence = observe_source(
        tmp_path,
        """
        import time
        from concurrent.futures import as_completed
        from poolwise import ProcessPoolExecutor

        def work(number):
            if number < 8:
                time.sleep(0.2)

        if __name__ == "__main__":
            with ProcessPoolExecutor(2) as executor:
                for future in as_completed([executor.submit(work, n) for n in range(300)]):
                    future.result()
        """,
    )
    (pool,) = evidence.pools
    assert pool.parent.handle_s < 0.3 * pool.active_s
    assert pool.parent.caller_wait_s > 0.5 * pool.active_s
    assert pool.max_outstanding > 2


LIBRARY = """
import multiprocessing

def apply_to_all(function, items):
    with multiprocessing.Pool(2) as pool:
        return pool.map(function, items)
"""


def test_the_line_is_the_program_s_where_a_library_has_the_pool(tmp_path):
    installed = tmp_path / "site-packages"
    installed.mkdir()
    (installed / "library.py").write_text(LIBRARY)
    source = f"""
import sys
sys.path.append({str(installed)!r})
from library import apply_to_all
{FUNCTION}
if __name__ == "__main__":
    apply_to_all(work, range(40))
"""
    (pool,) = observe_source(tmp_path, source).pools
    (site,) = pool.sites
    assert (site.place.file, site.place.line) == (str(tmp_path / "program.py"), 11)
    assert (site.api, pool.place) == ("map", site.place)


def test_the_line_is_the_library_s_where_all_is_installed(tmp_path):
    installed = tmp_path / "site-packages"
    package = installed / "package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(LIBRARY)
    (package / "functions.py").write_text(FUNCTION)
    (package / "__main__.py").write_text("""
from package import apply_to_all
from package.functions import work

if __name__ == "__main__":
    apply_to_all(work, range(40))
""")
    _, seen = observe_script(tmp_path, "-m", "package", env=os.environ | {"PYTHONPATH": installed})
    (pool,) = seen.pools
    assert pool.sites[0].place.file == str(package / "__init__.py")


@pytest.mark.skipif(sys.version_info >= (3, 15), reason="dill reads co_lnotab, which is no more")
def test_pools_of_multiprocess_are_seen(tmp_path):
    pytest.importorskip("multiprocess")
    source = """
import multiprocess

if __name__ == "__main__":
    with multiprocess.Pool(2) as pool:
        pool.map(lambda number: number + 1, range(40), chunksize=4)
"""
    evidence = observe_source(tmp_path, source)
    assert evidence.troubles == []
    (pool,) = evidence.pools
    (site,) = pool.sites
    assert (site.items, site.messages, site.place.line) == (40, 10, 6)


OUR_LEAVES = """
from poolwise import Pool, ProcessPoolExecutor

class Model:
    def __init__(self):
        self.table = {{n: str(n) for n in range(5000)}}
    def price(self, order):
        return len(self.table) + order

def price(table, order):
    return len(table) + order

if __name__ == "__main__":
    model = Model()
    table = model.table
    with {maker}(2) as pool:
        {call}
"""


@pytest.mark.parametrize(
    ("maker", "call", "name", "parameter"),
    [
        (
            "Pool",
            "[r.get() for r in [pool.apply_async(price, (table, n)) for n in range(20)]]",
            "arg[0]",
            "table",
        ),
        (
            "ProcessPoolExecutor",
            "[f.result() for f in [pool.submit(model.price, n) for n in range(20)]]",
            "self.table",
            None,
        ),
        ("Pool", "pool.starmap(price, [(table, n) for n in range(60)])", "arg[0]", "table"),
    ],
    ids=["apply_async", "submit", "starmap"],
)
def test_the_weight_of_arguments_in_our_own_pools(maker, call, name, parameter, tmp_path):
    evidence = observe_source(tmp_path, OUR_LEAVES.format(maker=maker, call=call))
    assert evidence.troubles == []
    (leaf,) = evidence.pools[0].leaves
    assert (leaf.name, leaf.parameter) == (name, parameter)
    assert leaf.is_repeated
    assert leaf.size_bytes > 40_000
    assert leaf.share_of_bytes_out > 0.9


def test_a_pool_of_ours_that_is_killed_is_known_to_be_missing(tmp_path):
    script = write_program(
        tmp_path,
        """
        import os, poolwise

        def work(number):
            return number

        if __name__ == "__main__":
            with poolwise.Pool(2) as finished:
                finished.map(work, range(10))
            pool = poolwise.Pool(2)
            pool.map(work, range(10))
            os.kill(os.getpid(), 9)
        """,
    )
    _, evidence = observe_script(tmp_path, str(script))
    assert len(evidence.pools) == 1
    assert evidence.program.lost_pools == 1


@pytest.mark.parametrize("library", ["multiprocessing", "poolwise"])
def test_handles_are_not_pickled_to_weigh_them(library, tmp_path):
    """Shared memory waits for each handle that was pickled to be opened."""
    pytest.importorskip("numpy")
    evidence = observe_source(
        tmp_path,
        f"""
        import poolwise, {library}
        import numpy as np

        class Counted(type(poolwise.share(np.zeros(4)))):
            pickles = 0
            def __reduce_ex__(self, protocol):
                Counted.pickles += 1
                return int, (0,)

        Counted.__module__ = "poolwise.shared.arrays"

        def work(handle, number):
            return number

        if __name__ == "__main__":
            handle = np.zeros(4).view(Counted)
            with {library}.Pool(2) as pool:
                [r.get() for r in [pool.apply_async(work, (handle, n)) for n in range(8)]]
            assert Counted.pickles <= 8, Counted.pickles
        """,
    )
    assert evidence.troubles == []
