"""What multiprocessing's pickler knows how to send goes its way, wherever we pickle."""

from __future__ import annotations

import copyreg
import multiprocessing
import os
import pickle
import signal
import socket
import threading
import time
from functools import partial
from itertools import repeat
from multiprocessing.reduction import DupFd, ForkingPickler

import pytest

import poolwise
from poolwise import errors
from poolwise.wire import offers, pickling
from tests.doors.programs import WITH_US, run_python, write

np = pytest.importorskip("numpy")

LIMIT_S = 100


class Handle:
    """Does not travel by itself."""

    def __init__(self, number):
        self.number = number

    def __reduce__(self):
        message = "a handle does not travel by itself"
        raise TypeError(message)


class Gauge:
    """Could travel by itself."""

    def __init__(self, text):
        self.text = text

    def read(self, *_):
        return self.text

    __call__ = read


class Token(Gauge):
    """The program tells ``copyreg``, not multiprocessing."""


def rebuild(kind, value):
    return kind(value)


def reduce_handle(handle):
    return rebuild, (Handle, handle.number + 100)


def reduce_gauge(gauge):
    return rebuild, (Gauge, f"<{gauge.text}>")


def reduce_token(token):
    return rebuild, (Token, token.text.upper())


ForkingPickler.register(Handle, reduce_handle)
ForkingPickler.register(Gauge, reduce_gauge)
copyreg.pickle(Token, reduce_token)


@pytest.fixture(scope="module", params=["fork", "spawn", "forkserver"])
def pool(request):
    with poolwise.Pool(2, context=request.param) as pool:
        yield pool


@pytest.fixture(scope="module", params=["fork", "spawn"])
def executor(request):
    with poolwise.ProcessPoolExecutor(2, request.param) as executor:
        yield executor


def read(gauge, *_):
    return gauge.text


def read_number(handle):
    return handle.number


def make(kind, value):
    return kind(value)


def fail(gauge):
    raise ValueError(gauge)


def read_of(first, *, gauge):
    return first.text + gauge.text


# --- wherever we pickle -------------------------------------------------------------------------


def test_arguments(pool, executor):
    handles, gauges = [Handle(number) for number in range(9)], [Gauge("a"), Gauge("b")]
    assert pool.map(read_number, handles) == [number + 100 for number in range(9)]
    assert list(pool.imap(read, gauges)) == ["<a>", "<b>"]
    assert sorted(pool.imap_unordered(read, gauges, 2)) == ["<a>", "<b>"]
    assert pool.starmap(read, [(Gauge("a"), 1), (Token("b"), 2)]) == ["<a>", "B"]
    assert pool.apply(read, (Gauge("a"),)) == "<a>"
    assert pool.apply(read_of, (Gauge("a"),), {"gauge": Gauge("b")}) == "<a><b>"
    assert list(executor.map(read, gauges)) == ["<a>", "<b>"]
    assert [executor.submit(read, one).result() for one in gauges] == ["<a>", "<b>"]
    assert executor.submit(read_of, Gauge("a"), gauge=Token("b")).result() == "<a>B"


def test_results(pool, executor):
    assert pool.apply(make, (Handle, 1)).number == 101
    got = pool.starmap(make, [(Gauge, "a"), (Token, "b")])
    assert [one.text for one in got] == ["<a>", "B"]
    assert executor.submit(make, Gauge, "a").result().text == "<a>"


def test_functions_and_what_is_bound_to_them(pool, executor):
    gauge = Gauge("a")
    for function in (gauge, gauge.read, partial(read, gauge), partial(gauge.read, gauge)):
        assert pool.map(function, range(3)) == ["<a>"] * 3
        assert pool.apply(function) == "<a>"
        assert executor.submit(function).result() == "<a>"


def test_functions_that_travel_with_their_code(pool, executor):
    gauge = Gauge("a")
    assert pool.map(lambda _: gauge.text, range(3)) == ["<a>"] * 3
    assert pool.apply(lambda *_: gauge.read()) == "<a>"
    assert executor.submit(lambda: gauge.text).result() == "<a>"


def test_exceptions(pool):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - it holds the gauge
        pool.apply(fail, (Gauge("a"),))
    assert caught.value.args[0].text == "<<a>>"


def test_calls_that_wait_for_a_worker(pool):
    calls = [pool.apply_async(read, (Gauge(str(number)),)) for number in range(200)]
    maps = [pool.map_async(Gauge(str(number)).read, [Gauge("x")]) for number in range(20)]
    assert [call.get(LIMIT_S) for call in calls] == [f"<{number}>" for number in range(200)]
    assert [one.get(LIMIT_S) for one in maps] == [[f"<{number}>"] for number in range(20)]


given = []


def keep(gauge):
    given.append(gauge)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_initargs_and_state(method):
    with poolwise.Pool(1, keep, (Gauge("a"),), context=method, state={"gauge": Gauge("b")}) as pool:
        assert pool.apply(look) == ("<a>", "<b>")


def look():
    return given[0].text, poolwise.state["gauge"].text


def test_what_lies_in_shared_memory(pool):
    with poolwise.share({"gauge": Gauge("a")}) as shared:
        assert shared.get()["gauge"].text == "<a>"
        assert pool.apply(read_shared, (shared,)) == "<a>"


def read_shared(shared):
    return shared.get()["gauge"].text


# --- whenever it was registered -----------------------------------------------------------------


class Late(Gauge):
    pass


def register_late(register, mark):
    register(Late, partial(reduce_late, mark))


def reduce_late(mark, late):
    return rebuild, (Late, mark + late.text)


@pytest.mark.parametrize("register", [ForkingPickler.register, copyreg.pickle])
def test_a_registration_counts_from_the_next_pickle_on(register, monkeypatch):
    monkeypatch.setattr(copyreg, "dispatch_table", copyreg.dispatch_table)
    with poolwise.Pool(1, context="fork") as pool:
        assert pool.apply(read, (Late("a"),)) == "a"
        for mark in ("first ", "then "):
            register_late(register, mark)
            assert pool.apply(read, (Late("a"),)) == f"{mark}a"
        assert pool.apply(make, (Late, "a")).text == "a"  # the worker was not told
        pool.apply(register_late, (register, "worker's "))
        assert pool.apply(make, (Late, "a")).text == "worker's a"
    ForkingPickler._extra_reducers.pop(Late, None)
    copyreg.dispatch_table.pop(Late, None)
    assert poolwise.Pool


# --- descriptors --------------------------------------------------------------------------------


def send(connection, *words):
    for word in words or ("hello",):
        connection.send(word)
    connection.close()


def speak(sock):
    sock.sendall(b"hello")
    sock.close()


def is_at_end(connection):
    """Nobody else has the other end open. Waits until it is so."""
    if not connection.poll(LIMIT_S):
        return False
    with pytest.raises(EOFError):
        connection.recv()
    return True


def test_a_connection_works_in_the_worker_and_ends_with_it(pool, executor):
    executor.submit(abs, 1).result(LIMIT_S)  # a worker that is forked later inherits both ends
    for call in (pool.apply, lambda f, args: executor.submit(f, *args)):
        ours, theirs = multiprocessing.Pipe()
        call(send, (theirs,))
        assert ours.recv() == "hello"
        theirs.close()
        assert is_at_end(ours)


def test_a_socket_works_in_the_worker_and_ends_with_it(pool):
    for call in (pool.map, pool.apply):
        left, right = socket.socketpair()
        with left, right:
            call(speak, [right])
            right.close()
            assert left.recv(100) == b"hello"
            assert left.recv(100) == b""


def open_pipe(word):
    ours, theirs = multiprocessing.Pipe()
    threading.Thread(target=send, args=(ours, word)).start()
    return theirs


def test_connections_come_back_as_results(pool, executor):
    pipes = [pool.apply(open_pipe, ("a",)), *pool.map(open_pipe, "bc"),
             executor.submit(open_pipe, "d").result()]  # fmt: skip
    assert [pipe.recv() for pipe in pipes] == list("abcd")


def note_and_send(connection, array, word):
    connection.send((word, os.getpid(), float(array.sum())))
    time.sleep(0.01)  # the other worker has its turn


class Reporter:
    """A task with a connection and, perhaps, much data."""

    def __init__(self, connection, size):
        self.connection = connection
        self.array = np.ones(size)

    def report(self, word):
        note_and_send(self.connection, self.array, word)


@pytest.mark.parametrize("size", [1, 100_000])
def test_a_function_with_a_connection_works_in_every_worker_and_at_every_task(pool, size):
    for by_method in (True, False):
        ours, theirs = multiprocessing.Pipe()
        function = (
            Reporter(theirs, size).report
            if by_method
            else partial(note_and_send, theirs, np.ones(size))
        )
        for call in (pool.map, lambda *args: pool.map_async(*args).get(LIMIT_S)):
            call(function, range(20), 1)
            said = [ours.recv() for _ in range(20)]
            assert sorted(word for word, _, _ in said) == list(range(20))
            assert {total for _, _, total in said} == {float(size)}


def test_a_connection_beside_large_data_is_offered_once(pool):
    ours, theirs = multiprocessing.Pipe()
    array = np.ones(100_000)
    pool.starmap(note_and_send, [(theirs, array, 0), (theirs, array, 1)], 2)
    theirs.close()
    assert {ours.recv()[0], ours.recv()[0]} == {0, 1}
    assert is_at_end(ours)


def wait_for(path, *_):
    while not path.exists():
        time.sleep(0.001)


def test_what_comes_back_unbegun_is_offered_no_more(tmp_path):
    """Else whoever reads from the other end waits for ever for its end."""
    gate = tmp_path / "open"
    with poolwise.Pool(1, context="fork") as pool:
        calls = [pool.apply_async(wait_for, (gate,))]
        pipes = [multiprocessing.Pipe() for _ in range(20)]
        calls += [pool.apply_async(send, (theirs,)) for _, theirs in pipes]
        time.sleep(0.1)
        gate.touch()
        for call in calls:
            call.get(LIMIT_S)
        for ours, theirs in pipes:
            theirs.close()
            assert ours.recv() == "hello"
            assert is_at_end(ours)


def kill_worker(*_):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("end", ["killed", "terminated"])
def test_what_a_worker_has_not_taken_is_offered_no_more(end, tmp_path):
    pipes = [multiprocessing.Pipe() for _ in range(9)]
    with poolwise.ProcessPoolExecutor(1, "fork") as executor:
        executor.submit(abs, -1).result()
        work = kill_worker if end == "killed" else partial(wait_for, tmp_path / "never")
        calls = [executor.submit(work), *(executor.submit(send, theirs) for _, theirs in pipes)]
        if end == "terminated":
            time.sleep(0.2)
            executor.terminate_workers()
        for call in calls:
            call.exception(LIMIT_S)
    for ours, theirs in pipes:
        theirs.close()
        if end == "killed":
            assert ours.recv() == "hello"
        assert is_at_end(ours)


def say(item):
    number, connection = item
    if number == DEADLY:
        kill_worker()
    connection.send(number)
    return number


DEADLY = 2


def values_of(results):
    """What each gives, or the kind of the error that it raises."""
    for result in results:
        try:
            yield result()
        except errors.PoolwiseError as error:
            yield type(error)


WITH_CONNECTIONS = {
    "imap": lambda pool, _, items: repeat(pool.imap(say, iter(items), chunksize=4).next, 8),
    "imap of a list": lambda pool, _, items: repeat(pool.imap(say, items).next, 8),
    "apply": lambda pool, _, items: [pool.apply_async(say, (one,)).get for one in items],
    "submit": lambda _, executor, items: [executor.submit(say, one).result for one in items],
}


@pytest.mark.parametrize("way", WITH_CONNECTIONS)
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_death_costs_no_other_task_its_connection(method, way, capfd):
    """In pools of its own: a replacement that is forked later inherits another test's pipes."""
    pipes = [multiprocessing.Pipe() for _ in range(8)]
    items = [(number, theirs) for number, (_, theirs) in enumerate(pipes)]
    open_executor = poolwise.ProcessPoolExecutor
    with poolwise.Pool(2, context=method) as pool, open_executor(2, method) as executor:
        found = list(values_of(WITH_CONNECTIONS[way](pool, executor, items)))
    assert found == [0, 1, errors.WorkerDied, 3, 4, 5, 6, 7]
    assert [ours.recv() for ours, _ in pipes if ours.poll(0)] == [0, 1, 3, 4, 5, 6, 7]
    assert "KeyError" not in capfd.readouterr().err  # of the thread that hands descriptors out


def test_who_asks_for_what_is_offered_no_more_hears_so(capfd):
    _, theirs = multiprocessing.Pipe()
    offers.take()
    pickled = pickling.dumps(DupFd(theirs.fileno()))
    offers.Offers(offers.take()).__del__()
    with pytest.raises(EOFError):
        pickle.loads(pickled).detach()
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_connections_as_initargs_and_as_state_reach_every_worker(method):
    ours, theirs = multiprocessing.Pipe()
    state = {"connection": theirs, "number": 5}
    with poolwise.Pool(2, send_at_start, (theirs,), context=method, state=state) as pool:
        words = [ours.recv() for _ in range(4)]
        assert words.count("from initargs") == words.count("from state 5") == 2
        pool.close()
        pool.join()
    theirs.close()
    assert is_at_end(ours)


def send_at_start(connection):
    connection.send("from initargs")
    poolwise.state["connection"].send(f"from state {poolwise.state['number']}")


def test_what_is_for_one_process_is_not_put_where_all_find_it():
    ours, theirs = multiprocessing.Pipe()
    with pytest.raises(TypeError, match="one process"):
        poolwise.share([theirs])
    theirs.close()
    assert is_at_end(ours)


def test_what_only_a_process_that_starts_can_be_given_is_refused_as_ever(pool):
    for value in (multiprocessing.Lock(), multiprocessing.Array("i", 3), multiprocessing.Queue()):
        with pytest.raises(RuntimeError, match="inheritance"):
            pool.apply(id, (value,))


# --- programs -----------------------------------------------------------------------------------


REGISTERS_ARRAYS = """\
    import multiprocessing
    from multiprocessing.reduction import ForkingPickler

    import numpy as np

    def rebuild(values):
        return np.array(values) * 10

    def reduce(array):
        return rebuild, (array.tolist(),)

    def total(array):
        return int(array.sum())

    if __name__ == "__main__":
        array = np.arange(4)
        with multiprocessing.Pool(2) as pool:
            before = pool.map(total, [array])
            ForkingPickler.register(np.ndarray, reduce)
            print(before, pool.map(total, [array] * 9), pool.map(np.sum, [array]))
    """

SETS_A_REDUCER = """\
    import multiprocessing
    from multiprocessing.reduction import AbstractReducer, ForkingPickler

    class Pickler(ForkingPickler):
        def reducer_override(self, value):
            return (str, (f"{value:.1f}",)) if type(value) is Price else NotImplemented

    class Reducer(AbstractReducer):
        ForkingPickler = Pickler

    class Price(float):
        pass

    context = multiprocessing.get_context("fork")
    context.reducer = Reducer()

    def same(value):
        return value

    def price(value):
        return Price(value)

    if __name__ == "__main__":
        with context.Pool(2) as pool:
            print(pool.map(same, [Price(1), 2.0]), pool.apply(same, ([Price(3)],)))
            print(pool.apply(price, (4,)), pool.map(price, [5, 6]))
    """

PUTS_DILL_IN = """\
    import multiprocessing
    import multiprocessing.connection
    import multiprocessing.queues
    import multiprocessing.reduction

    import dill

    dill.Pickler.dumps, dill.Pickler.loads = dill.dumps, dill.loads
    multiprocessing.reduction.ForkingPickler = dill.Pickler
    multiprocessing.reduction.dump = dill.dump
    multiprocessing.queues._ForkingPickler = dill.Pickler
    multiprocessing.connection._ForkingPickler = dill.Pickler

    if __name__ == "__main__":
        add = 5
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map(lambda x: x + add, range(3)))
            print(pool.apply(lambda: (lambda x: x * add))(2))
    """


@pytest.mark.parametrize(
    ("source", "library"),
    [(REGISTERS_ARRAYS, "numpy"), (SETS_A_REDUCER, "pickle"), (PUTS_DILL_IN, "dill")],
    ids=["an array's own reducer", "a context's reducer", "another pickler"],
)
def test_programs_say_the_same_under_both(source, library, tmp_path):
    pytest.importorskip(library)
    script = write(tmp_path / "program.py", source)
    standard = run_python(script)
    assert (standard.code, standard.err) == (0, "")
    assert run_python(*WITH_US, script) == standard
