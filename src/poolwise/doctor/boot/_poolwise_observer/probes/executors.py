"""Probes of `concurrent.futures.ProcessPoolExecutor`, and of loky's, which is joblib's."""

from collections import deque

from .. import recorder
from ..clocks import now
from ..seams import attempt, hide, plain, replace, watch_end
from . import sites, workers
from .calls import UNKNOWN_ORIGIN, count_threads, watch_calls
from .parents import Results, Sends

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Method = Callable[..., Any]


def attach(module: "Any") -> None:
    """Probe `concurrent.futures.process`, or one of loky's."""
    executor = module.ProcessPoolExecutor
    workers.watch_loop(module, "_process_worker")
    if hasattr(executor, "_setup_queues"):
        replace(executor, "_setup_queues", _make_setup)
    else:
        replace(executor, "__init__", _make_setup)
    watch_calls(module, executor)
    manager = module._ExecutorManagerThread
    replace(manager, "wait_result_broken_or_wakeup", _make_wait)
    replace(manager, "run", lambda original: watch_end(original, _note_thread))


def _note_thread(error: BaseException, args: "Any") -> None:
    """The thread that hands out and collects has died: no result comes any more."""
    number = getattr(args[0].result_queue, "_poolwise_pool", 0)
    place = sites.place_of(error)
    recorder.event("thread died", pool=number, error=type(error).__name__, place=place)


# -- the executor's life


def _make_setup(original: "Method") -> "Method":
    def setup(self: "Any", *args: "Any", **options: "Any") -> None:
        began = now()
        try:
            original(self, *args, **options)
        except BaseException as error:
            hide(error)
            raise
        if hasattr(self, "_call_queue"):  # else `poolwise run` has made it one of ours
            attempt("executor", lambda: _probe(self, began))

    return setup


def _probe(executor: "Any", began: int) -> None:
    number = executor._poolwise_pool = sites.new_pool()
    calls, results_queue = executor._call_queue, executor._result_queue
    calls._poolwise_pool = results_queue._poolwise_pool = number
    sends = Sends(number, calls._writer)
    results = Results(number, results_queue._reader)
    executor._poolwise_counts = lambda: (sends.count, results.count)
    results_queue._poolwise_results = results
    results_queue._reader.recv = _make_recv(plain(results_queue._reader.recv), results)
    calls._buffer = Buffer(calls._buffer)
    calls._buffer.sends, calls._buffer.pending = sends, executor._pending_work_items
    calls._send_bytes = _make_send(calls._send_bytes, calls._buffer)
    is_loky = hasattr(executor, "_setup_queues")
    context = getattr(executor, "_mp_context", None) or executor._context
    initializer = executor._initializer
    recorder.event(
        "pool",
        id=number,
        kind="loky" if is_loky else "ProcessPoolExecutor",
        slots=executor._max_workers,
        began=began,
        ended=now(),
        method=context.get_start_method(),
        initializer=sites.describe_function(initializer)["function"] if initializer else None,
        max_tasks=getattr(executor, "_max_tasks_per_child", None),
        place=sites.place(),
        threads=count_threads(),
    )


class Buffer(deque):  # type: ignore[type-arg]
    """The call queue's buffer: taking an item from it is the instant before it is pickled."""

    sends: Sends
    pending: "dict[int, Any]"
    taken: "Any" = None

    def popleft(self) -> "Any":
        """Take as deque does, and note that a message was taken."""
        item = deque.popleft(self)
        sends = self.sends
        if not hasattr(item, "work_id"):
            return item
        if sends.skip:
            sends.skip -= 1
        elif sends.take():
            work = self.pending.get(item.work_id)
            self.taken = item, getattr(work, "poolwise_origin", UNKNOWN_ORIGIN)
        return item


def _make_send(original: "Method", buffer: Buffer) -> "Method":
    def send_bytes(*args: "Any") -> None:
        original(*args)
        if buffer.taken is not None:
            taken, buffer.taken = buffer.taken, None
            buffer.sends.sent(*taken)

    return send_bytes


def _make_recv(original: "Method", results: Results) -> "Method":
    def recv() -> "Any":
        try:
            result = original()
        except BaseException as error:
            hide(error)
            raise
        if results.skip:
            results.skip -= 1
        elif hasattr(result, "work_id"):
            results.came(0, result.work_id)
        return result

    return recv


def _make_wait(original: "Method") -> "Method":
    def wait_result_broken_or_wakeup(self: "Any") -> "Any":
        results = getattr(self.result_queue, "_poolwise_results", None)
        if results is not None and not results.skip:
            results.begin()
        return original(self)

    return wait_result_broken_or_wakeup
