"""Ways into a pool that are not a plain map, and libraries that have pools: told by their name."""

from __future__ import annotations

import pytest

from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.evidence.features import Place, Startup
from poolwise.doctor.notes import take_notes
from poolwise.doctor.render.present import name_of
from tests.doctor.made_up import pool, run, times, worker
from tests.doctor.programs import observe_script, observe_source, write_program


def names(seen) -> list[str]:
    return [finding.name for finding in diagnose(seen).findings]


AWAITED = """
    import asyncio
    from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

    def work(number):
        return sum(range(60_000)) + number

    async def main(executor):
        loop = asyncio.get_running_loop()
        for number in range(60):
            await loop.run_in_executor(executor, work, number)

    if __name__ == "__main__":
        with ProcessPoolExecutor(2) as executor:
            asyncio.run(main(executor))
"""


def test_calls_that_are_awaited_one_by_one(tmp_path):
    seen = observe_source(tmp_path, AWAITED)
    [site] = seen.pools[0].sites
    assert (site.api, site.place.line) == ("run_in_executor", 11)
    first = diagnose(seen).findings[0]
    assert (first.name, first.where.line) == ("serial-submission", 11)
    assert "asyncio.gather" in first.remedies[0].words


def waiting_threads(slots: int, **more):
    states = {"run_cpu": 0.02, "run_blocked": 2.0}
    facts = {"queue_wait": times(0.5, 200), "blocked_by": {"sleep": 2.0}, "samples": 90}
    call = {"queue_wait": facts["queue_wait"]}
    return pool(states, slots=slots, messages=200, kind="ThreadPoolExecutor", call=call,
                **{**facts, **more})  # fmt: skip


def test_few_threads_that_wait_are_a_finding_with_a_number():
    [finding] = diagnose(run(waiting_threads(4))).findings
    assert finding.name == "io-bound"
    remedy = finding.remedies[0]
    assert (remedy.kind, remedy.value, remedy.words) == (
        "threads", 32, "32 threads in place of 4",
    )  # fmt: skip
    assert remedy.prediction.then_s < 0.3 * remedy.prediction.now_s


def test_many_threads_that_wait_are_none():
    assert "io-bound" not in names(run(waiting_threads(20)))


def test_few_threads_at_a_lock_are_none():
    assert "io-bound" not in names(run(waiting_threads(4, blocked_by={"lock": 2.0})))


def test_the_edit_is_the_number_of_threads(tmp_path):
    script = write_program(
        tmp_path,
        """
        import time
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(max_workers=4) as pool:
            futures = [pool.submit(time.sleep, 0.02) for _ in range(120)]
            [future.result() for future in futures]
        """,
    )
    _, seen = observe_script(tmp_path, str(script))
    [finding] = diagnose(seen).findings
    [change] = finding.remedies[0].changes
    assert "max_workers=32" in change.after[0]


STATEFUL = """
    from multiprocessing import get_context

    class Model:
        def __init__(self):
            self.table = {number: str(number) for number in range(30_000)}
            self.calls = 0

        def __call__(self, number):
            return len(self.table) + number

        score = __call__

    if __name__ == "__main__":
        model = Model()
        with get_context("fork").Pool(2) as pool:
            %s
"""


@pytest.mark.parametrize(
    "call",
    [
        "pool.map(model, range(40), chunksize=1)",
        "pool.map(model.score, range(40), chunksize=1)",
        """
            for number in range(40):
                model.calls += 1
                pool.apply_async(model.score, (number,)).get()
        """.strip(),
    ],
)
def test_the_heavy_attribute_of_what_is_called_is_named(call, tmp_path):
    leaves = observe_source(tmp_path, STATEFUL % call).pools[0].leaves
    assert [leaf.name for leaf in leaves] == ["self.table"]
    assert leaves[0].is_repeated
    assert leaves[0].type == "dict"


# -- pools in a loop


def in_a_loop(count: int, **more):
    """Pools of two workers, one after the other, each of which starts and ends."""
    return [
        pool({"start": 0.02, "run_cpu": 0.08, "run_queued": 0.1}, id=number,
             created_s=number * 0.3, creation_s=0.005, teardown_s=0.005, **more)
        for number in range(count)
    ]  # fmt: skip


def test_pools_that_follow_each_other_do_not_add_up():
    seen = run(*in_a_loop(20), wall_s=6.0)
    assert "oversubscribed-processes" not in names(seen)


def test_pools_side_by_side_add_up():
    states = {"run_cpu": 2.0, "run_queued": 4.0}
    both = [pool(states, id=number, slots=3, created_s=0.1) for number in range(4)]
    assert "oversubscribed-processes" in names(run(*both, wall_s=3.0))


@pytest.mark.parametrize(("startup_s", "is_said"), [(0.03, True), (0.005, False)])
def test_pools_in_a_loop_are_said_from_a_tenth_of_their_time_on(startup_s, is_said):
    each = [
        pool({"start": 2 * startup_s, "run_cpu": 0.4}, id=number, created_s=number * 0.3,
             startup=Startup(2, 0.001, 0.0, 0.0, None, startup_s))
        for number in range(20)
    ]  # fmt: skip
    assert ("startup" in names(run(*each, wall_s=6.0))) is is_said


def test_what_other_programs_add_to_a_start_is_no_start():
    slow = pool({"start": 0.16, "run_cpu": 0.4}, startup=Startup(2, 0.01, 0.0, 0.0, None, 0.08))
    assert "startup" in names(run(slow))
    assert "startup" not in names(run(slow, other_cpus=2.0))


# -- libraries

LIBRARY = """
    import os
    from multiprocessing import Process, Queue

    def worker(tasks, results):
        for number in iter(tasks.get, None):
            results.put(number * 2)
        results.close()
        results.join_thread()
        os._exit(15)  # as one that was told to end by SIGTERM, and has caught it

    def run(count):
        tasks, results = Queue(), Queue()
        workers = [Process(target=worker, args=(tasks, results)) for _ in range(2)]
        for each in workers:
            each.start()
        for number in range(count):
            tasks.put(number)
        total = sum(results.get() for _ in range(count))
        for each in workers:
            tasks.put(None)
        for each in workers:
            each.join()
        return total
"""


def test_how_a_library_ends_its_workers_is_no_death(tmp_path):
    write_program(tmp_path, LIBRARY).rename(tmp_path / "pebble.py")
    script = 'import pebble\nif __name__ == "__main__":\n    print(pebble.run(200))\n'
    [seen] = observe_source(tmp_path, script).pools
    assert [worker.exit_code for worker in seen.workers] == [15, 15]
    assert seen.deaths == []
    assert name_of(seen).startswith("pebble(2)")


def test_locks_of_a_native_library_are_not_the_program_s():
    states, locks = {"run_cpu": 1.0, "run_blocked": 3.0}, {"lock": 3.0}
    processes = {"slots": 4, "blocked_by": locks, "samples": 90}
    assert "lock-serialised" in names(run(pool(states, **processes)))
    with_blas = pool(states, helper_cpu_s=0.9, **processes)
    assert "lock-serialised" not in names(run(with_blas))


def test_threads_that_call_a_native_library_do_not_wait_for_the_interpreter():
    states = {"run_cpu": 1.6, "run_queued": 1.0, "run_blocked": 2.0}
    threads = pool(states, kind="ThreadPool", blocked_by={"lock": 2.0}, samples=90,
                   cores_used=0.7, mean_running=2.0, mean_outstanding=9.0)  # fmt: skip
    assert "gil-bound-threads" in names(run(threads, cpu_s=1.7))
    found = names(run(threads, cpu_s=4.0, native_threads={"OpenBLAS": 7}))
    assert "gil-bound-threads" not in found
    assert "oversubscribed-threads" in found


def test_jobs_inside_jobs_are_said():
    outer = pool({"run_cpu": 0.4, "run_blocked": 1.0}, id=1, kind="loky", call={"api": "__call__"},
                 workers=[worker(501), worker(502)])  # fmt: skip
    inner = pool({"run_cpu": 0.3}, id=2, pid=501, place=Place("/srv/b.py", 3))
    [note] = [note for note in take_notes(run(outer, inner)) if note.name == "nested-pools"]
    assert "n_jobs inside n_jobs" in note.words


# -- memory of imports

IMPORTING = """
    import multiprocessing
    import {library}

    HELD = bytearray(b"x") * 30_000_000

    def work(number):
        return number

    if __name__ == "__main__":
        context = multiprocessing.get_context("{method}")
        with {library}.Pool(2, context=context) as pool:
            pool.map(work, range(100))
"""


@pytest.mark.parametrize("library", ["multiprocessing.pool", "poolwise"])
def test_memory_that_fresh_workers_take_for_imports_is_seen(library, tmp_path):
    seen = observe_source(tmp_path, IMPORTING.format(library=library, method="spawn"))
    assert 30_000_000 < seen.pools[0].startup.imports_bytes < 300_000_000


def test_forked_workers_import_nothing(tmp_path):
    seen = observe_source(tmp_path, IMPORTING.format(library="poolwise", method="fork"))
    assert seen.pools[0].startup.imports_bytes is None
