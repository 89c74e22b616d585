"""A pool of two, from nothing to its first result and closed, in a process that has just begun."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks import peers
from benchmarks.harness.model import WORKERS, Claim, Entrant, Target, wall_time
from benchmarks.tasks import same

if TYPE_CHECKING:
    from collections.abc import Callable

FRESH = ["spawn"]  # where those that start fresh interpreters in their own way belong


class Start(NamedTuple):
    """A start method, and whether the process has had such a pool before."""

    method: str
    is_second: bool = False


def by_pool(module: str) -> Callable[[Any, Start], object]:
    def run(_: Any, start: Start) -> object:
        import multiprocessing
        from importlib import import_module

        context = multiprocessing.get_context(start.method)
        pool = import_module(module).Pool(WORKERS, context=context)
        answer = pool.apply(same, (7,))
        pool.close()
        pool.join()
        return answer

    return run


def by_executor(module: str) -> Callable[[Any, Start], object]:
    def run(_: Any, start: Start) -> object:
        import multiprocessing
        from importlib import import_module

        context = multiprocessing.get_context(start.method)
        with import_module(module).ProcessPoolExecutor(WORKERS, mp_context=context) as executor:
            return executor.submit(same, 7).result()

    return run


def by_loky(_: Any, _start: Start) -> object:
    with peers.loky_executor() as executor:
        return executor.submit(same, 7).result()


def by_joblib(_: Any, _start: Start) -> object:
    from joblib import delayed

    with peers.joblib_parallel() as parallel:
        return parallel([delayed(same)(7)])[0]


def by_mpire(_: Any, start: Start) -> object:
    with peers.mpire_pool(start_method=start.method) as pool:
        return pool.apply(same, (7,))


def by_pebble(_: Any, start: Start) -> object:
    import multiprocessing

    with peers.pebble_pool(context=multiprocessing.get_context(start.method)) as pool:
        return pool.schedule(same, args=(7,)).result()


def by_ray(_: Any, _start: Start) -> object:
    with peers.ray_pool() as pool:
        return pool.apply(same, (7,))


def import_and_warm(module: str, run: Callable[[Any, Start], object]) -> Callable[..., None]:
    """Imports are a claim of their own; a second pool needs a first."""

    def warm(pool: Any, start: Start) -> None:
        from importlib import import_module

        import_module(module)
        if start.is_second:
            run(pool, start)

    return warm


def entrant(label: str, module: str, run: Callable[[Any, Start], object], **rest: Any) -> Entrant:
    return Entrant(label, run, warm=import_and_warm(module, run), **rest)


def check(_load: Start, answer: object) -> None:
    assert answer == 7, "wrong result"


CLAIM = Claim(
    title=f"a pool of {WORKERS} to its first result and closed",
    cases={
        "fork": lambda: Start("fork"),
        "fork, second pool": lambda: Start("fork", is_second=True),
        "forkserver": lambda: Start("forkserver"),
        "forkserver, second pool": lambda: Start("forkserver", is_second=True),
        "spawn": lambda: Start("spawn"),
    },
    measure=wall_time,
    check=check,
    is_fresh=True,
    rounds=9,
    entrants=[
        entrant("poolwise.Pool", "poolwise.pool", by_pool("poolwise.pool")),
        entrant("poolwise.Executor", "poolwise.executor", by_executor("poolwise.executor")),
        entrant("mp.Pool", "multiprocessing.pool", by_pool("multiprocessing.pool")),
        entrant("PPE", "concurrent.futures.process", by_executor("concurrent.futures.process")),
        entrant("loky", "loky", by_loky, cases=FRESH),
        entrant("joblib", "joblib", by_joblib, cases=FRESH),
        entrant("mpire", "mpire", by_mpire),
        entrant("pebble", "pebble", by_pebble),
        entrant("ray", "ray.util.multiprocessing", by_ray, cases=FRESH, has_daemons=True),
    ],
    targets=[Target("mp.Pool", 2, ["fork"]), Target("mp.Pool"), Target("PPE")],
)
