"""The back end for joblib: loky's answers, from workers of ours."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import threading
import time
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import TimeoutError as MultiprocessingTimeoutError
from pathlib import Path
from pickle import PicklingError

import pytest

from poolwise import WorkerDied

joblib = pytest.importorskip("joblib")
np = pytest.importorskip("numpy")

from joblib import Parallel, delayed, parallel_config  # noqa: E402

from poolwise.integrations import joblib as ours  # noqa: E402

ours.register()


@pytest.fixture(autouse=True, scope="module")
def workers_end():
    yield
    ours.shutdown()


@pytest.fixture(params=["poolwise", "loky"], scope="module")
def backend(request):
    if request.param == "loky":
        from joblib.externals.loky import get_reusable_executor

        yield "loky"
        get_reusable_executor().shutdown()
    else:
        yield "poolwise"


def run(backend, calls, **options):
    return Parallel(n_jobs=2, backend=backend, **options)(calls)


# -- values


@pytest.mark.parametrize("batch_size", ["auto", 1, 7])
def test_values_come_in_order(batch_size):
    calls = (delayed(pow)(i, 2) for i in range(100))
    assert run("poolwise", calls, batch_size=batch_size) == [i * i for i in range(100)]


def test_generators_of_results():
    calls = [delayed(pow)(i, 2) for i in range(40)]
    expected = [i * i for i in range(40)]
    assert list(run("poolwise", calls, return_as="generator")) == expected
    assert sorted(run("poolwise", calls, return_as="generator_unordered")) == expected


def test_an_input_without_end_is_read_as_it_is_needed():
    endless = (delayed(abs)(number) for number in itertools.count())
    results = run("poolwise", endless, return_as="generator", batch_size=1, pre_dispatch=4)
    assert next(results) == 0
    with pytest.warns(UserWarning, match="not used|cancelled"):
        results.close()


@pytest.mark.parametrize(("n_jobs", "workers"), [(None, 1), (1, 1), (3, 3), (-1, 4), (-2, 3)])
def test_number_of_workers(n_jobs, workers, monkeypatch):
    monkeypatch.setattr(ours, "cpu_count", lambda: 4)
    monkeypatch.setattr(joblib, "cpu_count", lambda: 8)
    with parallel_config("poolwise"):
        assert joblib.effective_n_jobs(n_jobs) == workers


def test_no_workers_is_an_error():
    with pytest.raises(ValueError, match="n_jobs == 0"):
        Parallel(n_jobs=0, backend="poolwise")(delayed(abs)(i) for i in range(2))


def test_workers_stay_for_the_next_call():
    pids = [set(run("poolwise", (delayed(os.getpid)() for _ in range(8)))) for _ in range(3)]
    assert len(set.union(*pids)) <= 2
    assert os.getpid() not in set.union(*pids)


# -- failures


class Odd(Exception):
    """Of this module."""


def fail_at(number, at):
    if number == at:
        raise Odd(number)
    return number


def test_an_exception_ends_the_call_and_keeps_its_traceback():
    with pytest.raises(Odd) as caught:
        run("poolwise", (delayed(fail_at)(i, 3) for i in range(1000)))
    assert caught.value.args == (3,)
    assert "fail_at" in str(caught.value.__cause__)
    assert run("poolwise", [delayed(abs)(-1)]) == [1]


def test_a_dead_worker_is_an_error():
    with pytest.raises(WorkerDied) as caught:
        run("poolwise", (delayed(os._exit)(7) for _ in range(2)))
    assert isinstance(caught.value, BrokenProcessPool)
    assert run("poolwise", [delayed(abs)(-1)]) == [1]


def test_time_limit():
    with pytest.raises(MultiprocessingTimeoutError):
        run("poolwise", (delayed(time.sleep)(60) for _ in range(4)), timeout=0.05)


def test_what_cannot_be_pickled():
    with pytest.raises(PicklingError, match="Could not pickle the task"):
        run("poolwise", [delayed(id)(threading.Lock()), delayed(id)(1)])
    with pytest.raises(Exception, match="pickle"):
        run("poolwise", [delayed(threading.Lock)(), delayed(id)(1)])


def test_options_of_pools_can_be_given(tmp_path):
    def die_once(name):
        if not (tmp_path / name).exists():
            (tmp_path / name).touch()
            os._exit(1)
        return name

    with parallel_config("poolwise", n_jobs=2, retries=1):
        assert Parallel()(delayed(die_once)(name) for name in "ab") == ["a", "b"]


def test_a_dropped_generator_leaves_the_next_call_alone():
    first = run("poolwise", (delayed(time.sleep)(0.01) for _ in range(50)), return_as="generator")
    second = run("poolwise", (delayed(abs)(i) for i in range(9)), return_as="generator")
    with pytest.warns(UserWarning, match="cancelled|not used"):
        del first
    assert list(second) == list(range(9))


# -- large arrays


def look_at(array):
    writeable = array.flags.writeable
    address = array.__array_interface__["data"][0]
    for line in Path("/proc/self/maps").read_text(errors="replace").splitlines():
        first, last = (int(part, 16) for part in line.split(" ")[0].split("-"))
        if first <= address < last:
            return writeable, line.split()[4], float(array.sum())
    raise AssertionError


def test_a_large_array_is_shared_once_for_all_batches():
    array = np.ones(300_000)
    seen = set(run("poolwise", (delayed(look_at)(array) for _ in range(8)), batch_size=1))
    assert len(seen) == 1  # one inode
    assert {(writeable, total) for writeable, _, total in seen} == {(False, 300_000.0)}


def test_an_array_inside_of_something_is_shared_too():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": np.ones(300_000)})

    def look_inside(frame):
        return look_at(frame["a"].to_numpy())

    seen = set(run("poolwise", (delayed(look_inside)(frame) for _ in range(8)), batch_size=1))
    assert len(seen) == 1


def test_a_change_between_two_calls_is_seen():
    array = np.ones(300_000)
    with Parallel(n_jobs=2, backend="poolwise") as parallel:
        assert parallel(delayed(np.sum)(array) for _ in range(2)) == [300_000.0] * 2
        array[:] = 2
        assert parallel(delayed(np.sum)(array) for _ in range(2)) == [600_000.0] * 2


@pytest.mark.parametrize("options", [{"max_nbytes": None}, {"mmap_mode": None}])
def test_without_sharing_each_task_has_its_own(options):
    array = np.ones(300_000)
    seen = run("poolwise", (delayed(look_at)(array) for _ in range(4)), batch_size=1, **options)
    assert {writeable for writeable, _, _ in seen} == {True}


def put(output, at):
    output[at] = at


def test_workers_write_to_a_mapped_file(tmp_path, backend):
    output = np.memmap(tmp_path / "out", dtype="f8", shape=(200_000, 2), mode="w+")
    run(backend, (delayed(put)(output[:, 1], i) for i in range(20)))
    assert output[:20, 1].tolist() == list(range(20))


def test_results_of_all_sizes_are_the_readers_own():
    arrays = run("poolwise", (delayed(np.zeros)(10**size) for size in range(7)))
    for size, array in enumerate(arrays):
        array[:] = 1
        assert array.sum() == 10**size


# -- nesting and threads


def nested(number):
    inner = Parallel(n_jobs=2)
    return inner(delayed(pow)(number, i) for i in range(3)), type(inner._backend).__name__


def test_nested_calls_run_in_threads(backend):
    expected = [([n**i for i in range(3)], "ThreadingBackend") for n in range(4)]
    assert run(backend, (delayed(nested)(n) for n in range(4))) == expected


def nested_by_name(number):
    return Parallel(n_jobs=2, backend="poolwise")(delayed(pow)(number, i) for i in range(3))


def test_a_worker_may_have_workers():
    assert run("poolwise", (delayed(nested_by_name)(n) for n in range(2))) == [[1, 0, 0], [1, 1, 1]]


def read_limits():
    from threadpoolctl import threadpool_info

    return os.environ["OMP_NUM_THREADS"], {one["num_threads"] for one in threadpool_info()}


def test_threads_of_libraries_are_limited():
    pytest.importorskip("threadpoolctl")
    with parallel_config("poolwise", n_jobs=2, inner_max_num_threads=1):
        limits = Parallel()(delayed(read_limits)() for _ in range(2))
    assert {variable for variable, _ in limits} == {"1"}
    assert set.union(*(seen for _, seen in limits)) <= {1}


def test_initializer():
    begin = partial(os.environ.update, GREETING="hello")
    with parallel_config("poolwise", n_jobs=2, initializer=begin):
        assert Parallel()(delayed(os.getenv)("GREETING") for _ in range(4)) == ["hello"] * 4


# -- programs as people write them

UNGUARDED = """
from joblib import Parallel, delayed, parallel_config
from poolwise.integrations.joblib import register

class Point:
    def __init__(self, x):
        self.x = x

def make(x):
    return Point(x)

register()
with parallel_config("poolwise", n_jobs=2):
    points = Parallel()(delayed(make)(x) for x in range(3))
print([point.x for point in points], {type(point) is Point for point in points})
"""


@pytest.mark.parametrize("method", ["", "forkserver"])
def test_classes_and_functions_of_the_main_program(tmp_path, method):
    script = tmp_path / "script.py"
    guarded = UNGUARDED.replace("with parallel", "if __name__ == '__main__':\n  with parallel")
    guarded = guarded.replace("\n    points =", "\n      points =").replace("\nprint", "\n  print")
    script.write_text(guarded if method else UNGUARDED)
    env = {**os.environ, "JOBLIB_START_METHOD": method}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=100, env=env, check=True
    )
    assert done.stdout == "[0, 1, 2] {True}\n"


# -- scikit-learn


def fit_on(backend, kind, **options):
    sklearn = pytest.importorskip("sklearn")
    from sklearn.datasets import make_classification

    assert sklearn
    x, y = make_classification(400, 6, random_state=0)
    with parallel_config(backend, n_jobs=2):
        return kind(x, y, **options)


def search(x, y):
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    grid = GridSearchCV(LogisticRegression(), {"C": [0.01, 0.1, 1.0, 10.0]}, cv=3).fit(x, y)
    return grid.best_params_, grid.cv_results_["mean_test_score"].tolist()


def grow(x, y):
    from sklearn.ensemble import RandomForestClassifier

    forest = RandomForestClassifier(30, random_state=0, oob_score=True).fit(x, y)
    return forest.oob_score_, forest.predict_proba(x).tolist()


def validate(x, y):
    from sklearn.model_selection import cross_val_score
    from sklearn.tree import DecisionTreeClassifier

    return cross_val_score(DecisionTreeClassifier(random_state=0), x, y, cv=4).tolist()


def boost(x, y):
    """Uses OpenMP in this process first, then in its workers."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import cross_val_score

    model = HistGradientBoostingClassifier(max_iter=5, random_state=0)
    return model.fit(x, y).score(x, y), cross_val_score(model, x, y, cv=4).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("kind", [search, grow, validate, boost])
def test_scikit_learn_gives_lokys_answers(kind):
    assert fit_on("poolwise", kind) == fit_on("sequential", kind)
    assert fit_on("poolwise", kind) == fit_on("loky", kind)


@pytest.fixture(autouse=True, scope="module")
def loky_ends():
    yield
    from joblib.externals.loky import get_reusable_executor

    get_reusable_executor().shutdown(kill_workers=True)
