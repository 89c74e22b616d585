"""tqdm's ``process_map`` and ``thread_map`` on our pools: the bar counts items at any chunk size.

``from poolwise.integrations.tqdm import process_map`` takes the place of tqdm's own import. Inputs
may be generators, without a length and without an end that is known. Without tqdm the bar is ours,
as with ``Pool.map(progress=True)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from operator import length_hint
from typing import Any

from poolwise.executor import ProcessPoolExecutor

_OF_EXECUTOR = ("mp_context", "max_tasks_per_child", "initializer", "initargs")
_OF_MAP = ("timeout", "chunksize", "buffersize", "task_timeout", "retries", "retry_on")
_OF_TQDM_ALONE = ("lock_name", "thread_name_prefix")


def process_map(fn: Callable[..., Any], *iterables: Iterable[Any], **options: Any) -> list[Any]:
    """``list(map(fn, *iterables))`` in worker processes, with a bar.

    :param options: as of tqdm's: ``max_workers``, ``chunksize`` (best left out), ``timeout``,
        ``tqdm_class``, ``total``, ``desc`` and all others of a bar; and of our executors
        ``mp_context``, ``task_timeout``, ``retries`` ...
    :raises Exception: what the first failing item raised.
    """
    return _map("processes", fn, iterables, options)


def thread_map(fn: Callable[..., Any], *iterables: Iterable[Any], **options: Any) -> list[Any]:
    """``list(map(fn, *iterables))`` in threads, with a bar; see :func:`process_map`."""
    return _map("threads", fn, iterables, options)


def _map(
    backend: Any, fn: Callable[..., Any], iterables: tuple[Any, ...], options: dict[str, Any]
) -> list[Any]:
    of_executor = {name: options.pop(name) for name in _OF_EXECUTOR if name in options}
    of_map = {name: options.pop(name) for name in _OF_MAP if name in options}
    for name in _OF_TQDM_ALONE:
        options.pop(name, None)
    workers = options.pop("max_workers", None)
    make_bar = options.pop("tqdm_class", None) or _find_tqdm()
    with ProcessPoolExecutor(workers, backend=backend, **of_executor) as executor:
        if make_bar is None:
            is_shown = not options.get("disable")
            return list(executor.map(fn, *iterables, progress=is_shown, **of_map))
        options.setdefault("total", _shortest(iterables))
        results = executor.map(fn, *iterables, **of_map)
        with make_bar(**{"smoothing": 0.0, **options}) as bar:
            return list(_counted(results, bar))


def _counted(results: Iterator[Any], bar: Any) -> Iterator[Any]:
    for result in results:
        bar.update()
        yield result


def _find_tqdm() -> Any | None:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return None
    return tqdm


def _shortest(iterables: Iterable[Any]) -> int | None:
    """Number of items, if one of the inputs knows it."""
    sizes = [size for each in iterables if (size := length_hint(each, -1)) >= 0]
    return min(sizes, default=None)
