"""`poolwise run`: a program cannot tell the difference, except by its pools."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import poolwise
from poolwise.cli.program import split_options
from poolwise.cli.run import _run_and_wait
from tests.doors.programs import WITH_US, run_python, write

SHOW = """
import os, sys
print(__name__, __file__ if "__file__" in globals() else None, __spec__ and __spec__.name)
print(sys.argv, sys.orig_argv[1:], sys.path, sys.flags, sys.warnoptions, sys._xoptions)
print(os.getcwd(), os.getppid(), sorted(os.environ.items()), sys.stdout.line_buffering)
print("sitecustomize" in sys.modules, [p for p in sys.path_importer_cache if "boot" in p])
print(sys.stdin.read(), file=sys.stderr)
"""


def assert_same(*words, flags=(), **around):
    """Run the program with and without us, compare all that is seen, return what was seen."""
    plain = run_python(*flags, *words, **around)
    ours = run_python(*flags, *WITH_US, *words, **around)
    assert ours == plain
    return ours


# --- the program sees the same ------------------------------------------------------------------


@pytest.fixture
def show(tmp_path):
    return write(tmp_path / "show.py", SHOW)


@pytest.mark.parametrize("pythonpath", ["", "one", "one:two:"])
def test_script_sees_the_same(show, pythonpath):
    words = ("a", "-h", "--workers", "9", "--", "-m", "é ü")
    around = {"stdin": "in", "cwd": show.parent, "PYTHONPATH": join_home(pythonpath)}
    seen = assert_same(show.name, *words, **around)
    assert str(show) in seen.out
    assert (seen.code, seen.err) == (0, "in\n")


def join_home(more):
    """PYTHONPATH with which this test run itself finds poolwise, and more."""
    return os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), more]))


def test_module_sees_the_same(show):
    write(show.parent / "package" / "__main__.py", SHOW)
    assert_same("-m", "show", "a", "-h", cwd=show.parent)
    assert_same("-mshow", "a", "-h", cwd=show.parent)
    assert_same("-m", "package", "a", cwd=show.parent)


def test_code_sees_the_same():
    assert_same("-c", SHOW, "a", "-c")


def test_program_on_standard_input_sees_the_same():
    assert_same("-", "a", stdin=SHOW)


def test_folder_sees_the_same(tmp_path):
    write(tmp_path / "folder" / "__main__.py", SHOW)
    assert_same(tmp_path / "folder", "a")


def test_zip_file_sees_the_same(tmp_path):
    with zipfile.ZipFile(tmp_path / "program.pyz", "w") as program:
        program.writestr("__main__.py", SHOW)
    assert_same(tmp_path / "program.pyz", "a")


def test_script_finds_its_neighbours(tmp_path):
    write(tmp_path / "folder" / "neighbour.py", "name = __name__")
    script = write(tmp_path / "folder" / "script.py", "import neighbour; print(neighbour.name)")
    assert assert_same(script, cwd=tmp_path).out == "neighbour\n"


@pytest.mark.parametrize(
    "flags", [["-O"], ["-u"], ["-X", "dev", "-W", "error"], ["-s", "-P"], ["-bq", "-Xfoo=1"]]
)
def test_options_of_python_go_on(show, flags):
    if "-P" in flags and sys.version_info < (3, 11):
        flags = ["-s"]
    assert_same(show, "a", flags=flags)


def test_options_joined_with_m_go_on(show):
    plain = run_python("-u", "-O", show)
    assert run_python("-uOm", "poolwise", "run", show).out.replace("-uO", "-u', '-O") == plain.out


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit(3)",
        "raise SystemExit('words')",
        "1 / 0",
        "import os; os._exit(4)",
        "import os; os.abort()",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "raise KeyboardInterrupt",
        "def broken(:",
        "import nothing_of_this_name",
    ],
)
def test_program_ends_the_same(tmp_path, program):
    script = write(tmp_path / "script.py", program)
    assert assert_same(script).code != 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_program_gets_the_signals(tmp_path, number):
    script = write(tmp_path / "script.py", "import time; print(flush=True); time.sleep(60)")
    command = [sys.executable, *WITH_US, str(script)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, **pipes) as process:
        process.stdout.read(1)
        process.send_signal(number)
        assert process.wait() == -number


def test_program_has_the_terminal(tmp_path):
    script = write(tmp_path / "script.py", "print(__import__('os').isatty(0))")
    master, terminal = pty.openpty()
    try:
        command = [sys.executable, *WITH_US, str(script)]
        ended = subprocess.run(command, stdin=terminal, capture_output=True, check=True)
    finally:
        os.close(master)
        os.close(terminal)
    assert ended.stdout == b"True\n"


def test_module_that_does_not_exist():
    assert assert_same("-m", "nothing_of_this_name").code == 1


# --- the user's own sitecustomize ---------------------------------------------------------------

OWN = {
    "a module": ("sitecustomize.py", "print('mine', __name__, __file__)"),
    "a package": ("sitecustomize/__init__.py", "print('mine', __name__, __path__)"),
    "one that fails": ("sitecustomize.py", "1 / 0"),
    "one that misses something": ("sitecustomize.py", "import nothing_of_this_name"),
}


@pytest.mark.parametrize("kind", OWN)
def test_own_sitecustomize_runs_too(show, tmp_path, kind):
    name, source = OWN[kind]
    # Only in the program: the interpreter of `python -m poolwise` has its sitecustomize as well.
    write(tmp_path / "own" / name, f"import sys\nif sys.orig_argv[1] != '-m': {source}")
    assert_same(show, PYTHONPATH=join_home(str(tmp_path / "own")))


# --- its pools are ours -------------------------------------------------------------------------

TELL = """
import multiprocessing, sys
from multiprocessing.pool import Pool
from concurrent.futures import ProcessPoolExecutor

def is_ours(_=None):
    return [c.__init__.__module__.split(".")[0] for c in (Pool, ProcessPoolExecutor)]

def tell():
    print("child", *is_ours(), flush=True)

if __name__ == "__main__":
    print("main", *is_ours(), flush=True)
    child = multiprocessing.get_context(sys.argv[1]).Process(target=tell)
    child.start()
    child.join()
    sys.exit(child.exitcode)
"""
OURS = "main poolwise poolwise\nchild poolwise poolwise\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_program_and_its_children_have_our_doors(tmp_path, method):
    script = write(tmp_path / "script.py", TELL)
    ended = run_python(*WITH_US, script, method)
    assert (ended.code, ended.out, ended.err) == (0, OURS, "")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_child_of_a_program_that_went_elsewhere_has_our_doors(tmp_path, method):
    goes = "import os; os.environ.clear(); os.chdir('/')\n    child = "
    script = write(tmp_path / "script.py", TELL.replace("child = ", goes))
    ended = run_python(*WITH_US, script.name, method, cwd=tmp_path)
    assert (ended.code, ended.out, ended.err) == (0, OURS, "")


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_module_and_its_children_have_our_doors(tmp_path, method):
    write(tmp_path / "told.py", TELL)
    ended = run_python(*WITH_US, "-m", "told", method, cwd=tmp_path)
    assert (ended.code, ended.out, ended.err) == (0, OURS, "")


AT_WORK = """
import multiprocessing, os, sys
import multiprocessing.pool
from concurrent.futures import ProcessPoolExecutor, as_completed, wait
from multiprocessing import Pool

def square(x):
    return x * x

def fail(x):
    raise ValueError(x)

def set_word(word):
    global WORD
    WORD = word

def say(_):
    return WORD

def nest(x):
    with ProcessPoolExecutor(1) as inner:
        return inner.submit(square, x).result()

def make_pool_in_child():
    with Pool(2) as pool:
        print("child", isinstance(pool, multiprocessing.pool.Pool), pool.map(square, range(5)))

def use_pool(pool):
    print(isinstance(pool, multiprocessing.pool.Pool))
    print(pool.map(square, range(20)), pool.map(square, range(5), 2), pool.map(say, [0]))
    print(list(pool.imap(square, range(5))), sorted(pool.imap_unordered(square, range(5), 2)))
    print(pool.starmap(pow, [(2, 3), (3, 2)]), pool.apply(square, (3,)))
    print(pool.apply_async(square, (4,)).get(), pool.map_async(square, [1]).get())
    try:
        pool.map(fail, [1])
    except ValueError as error:
        print(repr(error))

def use_executor(executor):
    print(isinstance(executor, ProcessPoolExecutor))
    futures = [executor.submit(square, x) for x in range(5)]
    print(sorted(f.result() for f in as_completed(futures)), len(wait(futures).done))
    print(list(executor.map(pow, [2, 3], [3, 2])), list(executor.map(say, [0], chunksize=1)))
    print(repr(executor.submit(fail, 2).exception()), executor.submit(nest, 3).result())

if __name__ == "__main__":
    method = sys.argv[1]
    multiprocessing.set_start_method(method)
    context = multiprocessing.get_context(method)
    for door in (Pool, context.Pool, multiprocessing.pool.Pool):
        with door(2, set_word, ("hello",)) as pool:
            use_pool(pool)
            pool.close()
            pool.join()
    with ProcessPoolExecutor(2, context, set_word, ("bye",)) as executor:
        use_executor(executor)
    sys.stdout.flush()
    child = context.Process(target=make_pool_in_child)
    child.start()
    child.join()
    with multiprocessing.Manager() as manager:
        print(manager.Pool(1).map(square, range(3)))
    sys.exit(5 + child.exitcode)
"""


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pools_of_a_program_do_their_work(tmp_path, method):
    script = write(tmp_path / "script.py", AT_WORK)
    plain, ours = run_python(script, method), run_python(*WITH_US, script, method)
    # What the standard pools print on stderr is theirs: on a busy machine their resource tracker
    # now and then warns of a semaphore.
    assert (ours.code, ours.out, ours.err) == (plain.code, plain.out, "")
    assert ours.code == 5


LOOKING_INSIDE = """
import concurrent.futures, multiprocessing, sys, time
import multiprocessing.pool as mpp

def istarmap(self, func, iterable, chunksize=1):
    self._check_running()
    batches = mpp.Pool._get_tasks(func, iterable, chunksize)
    result = mpp.IMapIterator(self)
    self._taskqueue.put(
        (self._guarded_task_generation(result._job, mpp.starmapstar, batches), result._set_length)
    )
    return (item for chunk in result for item in chunk)

mpp.Pool.istarmap = istarmap
original = mpp.Pool.apply_async
mpp.Pool.apply_async = lambda self, *args, **kwds: original(self, *args, **kwds)

def add(one, other):
    return one + other

if __name__ == "__main__":
    context, told = multiprocessing.get_context(sys.argv[1]), []
    pool = context.Pool(2)
    print(sum(pool.istarmap(add, [(n, n) for n in range(100)], 3)))
    result, seen = pool.map_async(abs, range(-300, 0), 1, told.append), []
    while not result.ready():
        seen.append(result._number_left)
    print(seen == sorted(seen, reverse=True), len(result.get()), len(told[0]))
    pool.map_async(abs, [], callback=told.append).wait()
    results = [pool.apply_async(add, (n, 1)) for n in range(20)]
    while pool._cache:
        time.sleep(0.01)
    print(all(each.ready() for each in results), pool._taskqueue.qsize(), len(told))
    print(*(isinstance(results[0], kind) for kind in (mpp.AsyncResult, mpp.MapResult)))
    stream = pool.imap_unordered(abs, range(-500, 0))
    while stream._index < 500:
        time.sleep(0.01)
    print(isinstance(stream, mpp.IMapIterator), sum(stream))
    pool.close()
    pool.join()
    with concurrent.futures.ProcessPoolExecutor(2, context) as executor:
        submit, counted = executor.submit, []
        executor.submit = lambda *args: counted.append(args) or submit(*args)
        print(sum(executor.map(abs, range(-50, 0), chunksize=10)), len(counted))
        while len(executor._pending_work_items) > 0:
            time.sleep(0.01)
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_program_that_looks_inside_its_pools_sees_the_same(tmp_path, method):
    script = write(tmp_path / "script.py", LOOKING_INSIDE)
    plain, ours = run_python(script, method), run_python(*WITH_US, script, method)
    assert (ours.code, ours.out, ours.err) == (plain.code, plain.out, "")
    assert ours.out.endswith("1275 5\n")


OWN_SUBCLASS = """
import multiprocessing, multiprocessing.pool

class NoDaemonProcess(multiprocessing.get_context("spawn").Process):
    daemon = property(lambda self: False, lambda self, value: None)

class NestingPool(multiprocessing.pool.Pool):
    @staticmethod
    def Process(ctx, *args, **kwargs):
        return NoDaemonProcess(*args, **kwargs)

def nest(x):
    with multiprocessing.Pool(1) as inner:
        return type(inner).__init__.__module__.partition(".")[0], inner.map(abs, [x])

if __name__ == "__main__":
    with NestingPool(1, context=multiprocessing.get_context("spawn")) as pool:
        print(type(pool).__name__, pool.map(nest, [-3]))
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_program_with_a_module_called_resource_has_its_own(tmp_path, method):
    write(tmp_path / "resource.py", "OWN = True")
    source = f"""
    import multiprocessing

    def have_own(_):
        import resource
        return resource.OWN

    if __name__ == "__main__":
        with multiprocessing.get_context({method!r}).Pool(2) as pool:
            print(pool.map(have_own, range(2)), len(pool.apply(bytes, (1_000_000,))))
            print(have_own(0), type(pool).__module__)
    """
    ended = run_python(*WITH_US, write(tmp_path / "program.py", source))
    assert (ended.out, ended.err) == ("[True, True] 1000000\nTrue poolwise.pool\n", "")


def test_subclass_is_standard_and_the_pool_in_its_worker_ours(tmp_path):
    ended = run_python(*WITH_US, write(tmp_path / "script.py", OWN_SUBCLASS))
    assert (ended.out, ended.err) == ("NestingPool [('poolwise', [3])]\n", "")


def test_both_pools_of_a_program_are_ours():
    program = """if True:
        import concurrent.futures, multiprocessing
        with multiprocessing.Pool(1) as pool, concurrent.futures.ProcessPoolExecutor() as executor:
            print(*(type(thing).__mro__[1].__module__ for thing in (pool, executor)))
    """
    assert run_python(*WITH_US, "-c", program).out == "poolwise.pool poolwise.executor\n"


def test_programs_it_starts_itself_stay_as_they_are(tmp_path):
    started = "import sys; print([m for m in sys.modules if 'poolwise' in m])"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {started!r}])"
    assert run_python(*WITH_US, write(tmp_path / "script.py", program)).out == "[]\n"


def test_workers_are_told_by_the_environment():
    program = "import os; print(os.environ.get('POOLWISE_WORKERS'))"
    assert run_python(*WITH_US, "--workers", "3", "-c", program).out == "3\n"
    assert run_python(*WITH_US, "--workers=4", "-c", program).out == "4\n"
    assert run_python(*WITH_US, "--workers", "3", "--", "-c", program).out == "3\n"


# --- bad command lines --------------------------------------------------------------------------


def test_script_that_does_not_exist(tmp_path):
    plain = run_python("nothing.py", cwd=tmp_path)
    ours = run_python(*WITH_US, "nothing.py", cwd=tmp_path)
    assert (ours.code, ours.out) == (2, "")
    assert ours.err.startswith(plain.err)
    assert "Give the path of a script" in ours.err


def test_command_in_place_of_a_script(tmp_path):
    (tmp_path / "tool").touch(mode=0o755)
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    assert "poolwise run -m tool" in run_python(*WITH_US, "tool", PATH=path).err
    (tmp_path / "python3").touch(mode=0o755)
    assert "Leave 'python3' out" in run_python(*WITH_US, "python3", "x.py", PATH=path).err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "poolwise COMMAND --help"),
        (["jump"], "no command 'jump'; there is: run"),
        (["script.py"], "To run a program: poolwise run script.py"),
        (["run"], "no program was given"),
        (["run", "--workers", "2"], "no program was given"),
        (["run", "--workers"], "expected one argument"),
        (["run", "--workers", "0", "-c", "1"], "1 or more, not '0'"),
        (["run", "--workers", "many", "-c", "1"], "1 or more, not 'many'"),
        (["run", "--jump", "-c", "1"], "--jump"),
        (["run", "-X", "dev", "script.py"], "python -X -m poolwise run"),
        (["run", "-I", "script.py"], "Leave the option out"),
    ],
)
def test_bad_command_line(words, told):
    ended = run_python("-m", "poolwise", *words)
    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert "Traceback" not in ended.err


@pytest.mark.parametrize("flag", ["-I", "-E", "-S"])
def test_options_that_shut_us_out_are_refused(flag, tmp_path):
    # As installed: found without PYTHONPATH, which these options ignore.
    program = "import sys, runpy; sys.path.append({home!r}); sys.argv[1:] = ['run', '-c', '1']; "
    program += "runpy.run_module('poolwise', run_name='__main__')"
    home = str(Path(poolwise.__file__).parents[1])
    ended = run_python(flag, "-c", program.format(home=home), cwd=tmp_path)
    assert ended.code == 2
    assert "poolwise.install()" in ended.err


def test_help_and_version():
    assert "run" in run_python("-m", "poolwise", "--help").out
    assert "--workers" in run_python(*WITH_US, "--help").out
    assert "--workers" in run_python(*WITH_US, "-h").out
    assert run_python("-m", "poolwise", "--version").out.startswith("poolwise 0.")


# --- pieces -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "options", "program"),
    [
        ("x.py --workers 2", "", "x.py --workers 2"),
        ("--workers 2 x.py --help", "--workers 2", "x.py --help"),
        ("--workers=2 -m x -h", "--workers=2", "-m x -h"),
        ("-- x.py -- y", "", "x.py -- y"),
        ("-h", "-h", ""),
        ("--workers", "--workers", ""),
        ("-c pass", "", "-c pass"),
    ],
)
def test_split_options(line, options, program):
    assert split_options(line.split(), {"--workers"}) == (options.split(), program.split())


def test_where_exec_is_not_to_be_had():
    command = [sys.executable, "-c", "import os; raise SystemExit(int(os.environ['CODE']))"]
    assert _run_and_wait(command, {**os.environ, "CODE": "7"}) == 7
