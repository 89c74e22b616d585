"""Edits at the place of the call: derived where the text allows, else none."""

from __future__ import annotations

import ast

import pytest

from poolwise.doctor.advice import edits, effects, patch, remedies
from poolwise.doctor.diagnose import diagnose
from poolwise.doctor.evidence import kinds
from poolwise.doctor.evidence.features import Place
from poolwise.doctor.findings import Change
from tests.doctor import made_up
from tests.doctor.made_up import leaf, pool, run


def put(tmp_path, text: str) -> Place:
    path = tmp_path / "script.py"
    path.write_text(text)
    return Place(str(path), 1)


def only_line(change: Change | None) -> str:
    assert change is not None
    [line] = change.after
    ast.parse(f"{line}\n  pass" if line.endswith(":") else line.strip())
    return line


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("pool.map(f, xs)", "pool.map(f, xs, chunksize=50)"),
        ("pool.map(f, xs, chunksize=1)", "pool.map(f, xs, chunksize=50)"),
        ("pool.map(f, xs, 1)", "pool.map(f, xs, 50)"),
        ("pool.map(f, iterable=xs)", "pool.map(f, iterable=xs, chunksize=50)"),
        ("a = list(pool.map(f, xs)), 1", "a = list(pool.map(f, xs, chunksize=50)), 1"),
        ("pool.map(f, (x for x in xs))", "pool.map(f, (x for x in xs), chunksize=50)"),
        ('pool.map(f, "Grüße, Jürgen")', 'pool.map(f, "Grüße, Jürgen", chunksize=50)'),
        ("pool.map(f, (xs))", "pool.map(f, (xs), chunksize=50)"),
        ("pool.map(f, xs, )", "pool.map(f, xs, chunksize=50, )"),
        ("with make() as e: e.map(f, xs, ys)", None),
        (
            "with ProcessPoolExecutor() as e: e.map(f, xs, ys)",
            "with ProcessPoolExecutor() as e: e.map(f, xs, ys, chunksize=50)",
        ),
        ("with Pool() as p: p.map(f, xs, size)", "with Pool() as p: p.map(f, xs, 50)"),
    ],
)
def test_chunksize_is_set(before, after, tmp_path):
    change = edits.set_argument(put(tmp_path, before + "\n"), "map", "chunksize", "50")
    assert (change and only_line(change)) == after


NOT_PLAIN = [
    "pool.map(*args)\n",
    "work(xs)\n",
    "p.map(f, [x.map(g) for x in xs])\n",
    "pool.map(f,\n",
    "",
]


@pytest.mark.parametrize("text", NOT_PLAIN)
def test_what_is_not_plain_is_left_alone(text, tmp_path):
    assert edits.set_argument(put(tmp_path, text), "map", "chunksize", "50") is None


def test_a_file_that_is_gone_is_left_alone():
    assert edits.set_argument(Place("/nowhere/a.py", 1), "map", "chunksize", "50") is None


def test_calls_over_several_lines(tmp_path):
    place = put(tmp_path, "r = pool.map(\n    f,\n    xs,\n)\n")
    change = edits.set_argument(place, "map", "chunksize", "50")
    assert change is not None
    assert (change.line, change.before, change.after) == (3, ["    xs,"], ["    xs, chunksize=50,"])


def test_pool_becomes_another_with_another_count(tmp_path):
    place = put(tmp_path, "with Pool(4) as p:\n    p.map(f, xs)\n")
    line = "from multiprocessing.pool import ThreadPool"
    change = edits.swap_call(place, "Pool", "ThreadPool", [line], processes="32")
    assert only_line(change) == "with ThreadPool(32) as p:"
    assert change is not None
    assert change.imports == [line]
    assert patch.show([change]).splitlines() == [
        "--- script.py:1", f"+{line}", "+",
        "--- script.py:1", "-with Pool(4) as p:", "+with ThreadPool(32) as p:",
    ]  # fmt: skip


def test_import_that_is_there_is_not_added(tmp_path):
    path = tmp_path / "script.py"
    path.write_text("import poolwise\npool = Pool()\n")
    change = edits.swap_call(Place(str(path), 2), "Pool", "poolwise.Pool", ["import poolwise"])
    assert change is not None
    assert change.imports == []


def test_empty_call_gets_its_first_argument(tmp_path):
    change = edits.set_argument(put(tmp_path, "p = Pool()\n"), "Pool", "processes", "2")
    assert only_line(change) == "p = Pool(processes=2)"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from multiprocessing import Pool as P\nP(4)", "poolwise.Pool(4)"),
        ("import multiprocessing as mp\nmp.Pool(4)", "poolwise.Pool(4)"),
        ("c.Pool(4)", "poolwise.Pool(4, context=c)"),
        ("get_context('spawn').Pool()", "poolwise.Pool(context=get_context('spawn'))"),
        ("Pool(processes=4, maxtasksperchild=1)", "poolwise.Pool(processes=4, maxtasksperchild=1)"),
        ("import torch.multiprocessing as mp\nmp.Pool(4)", None),
        ("from billiard import Pool\nPool(4)", None),
    ],
)
def test_our_pool_takes_the_place_of_a_standard_one(before, after, tmp_path):
    place = put(tmp_path, before + "\n")
    line = before.count("\n") + 1
    change = edits.swap_call(Place(place.file, line), "Pool", "poolwise.Pool", ["import poolwise"])
    assert (change and only_line(change)) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("Pool(4, maxtasksperchild=1)", "ThreadPool(32)"),
        ("Pool(4, init, (a,))", "ThreadPool(32, initializer=init, initargs=(a,))"),
        ("get_context('spawn').Pool()", "ThreadPool(processes=32)"),
        ("Pool(*counts)", None),
    ],
)
def test_threads_get_no_arguments_that_they_do_not_know(before, after, tmp_path):
    change = edits.swap_call(put(tmp_path, before), "Pool", "ThreadPool", [], processes="32")
    assert (change and only_line(change)) == after


def test_threads_become_processes(tmp_path):
    before = "e = ThreadPoolExecutor(4, thread_name_prefix='t')\n"
    place, new = put(tmp_path, before), "poolwise.ProcessPoolExecutor"
    change = edits.make_processes(place, "ThreadPoolExecutor", new)
    assert only_line(change) == "e = poolwise.ProcessPoolExecutor(4)"


STARMAP = """
def route(table, town):
    {body}

def main():
    table = make()
    {jobs}
    with Pool() as pool:
        for day in range(3):
            {call}
"""


@pytest.mark.parametrize(
    ("jobs", "call", "after"),
    [
        ("", "pool.starmap(route, [(table, t) for t in towns])", [
            "        shared_table = poolwise.share(table)",
            "        for day in range(3):",
            "            pool.starmap(route, [(shared_table, t) for t in towns])",
        ]),
        ("jobs = [(table, t) for t in towns]", "pool.starmap(route, jobs)", [
            "    shared_table = poolwise.share(table)",
            "    jobs = [(shared_table, t) for t in towns]",
        ]),
        ("", "table[0] = day; pool.starmap(route, [(table, t) for t in towns])", None),
        ("jobs = [(tables[t], t) for t in towns]", "pool.starmap(route, jobs)", None),
        ("jobs = read_jobs()", "pool.starmap(route, jobs)", None),
    ],
)  # fmt: skip
def test_what_tuples_repeat_is_shared_before_them(jobs, call, after, tmp_path):
    text = STARMAP.format(body="return table[town]", jobs=jobs, call=call)
    place = Place(put(tmp_path, text).file, 10)
    change = edits.share_argument(place, "starmap", (1, "*", 0), "table")
    assert (change and change.after) == after


WRITERS = {
    "table[0] = 1": True,
    "table += 1": True,
    "for row in table: row[:] = 0": True,
    "part = table[1:]; part.sort()": True,
    "np.add(table, 1, out=table)": True,
    "global N; N = 1": True,
    "CACHE.append(town)": True,
    "os.kill(os.getpid(), 9)": True,
    "os.environ['A'] = 'b'": True,
    "total = 0; total += table[0]": False,
    "n, steps = town, 0; steps += 1": False,
    "n, part = 0, table; part += 1": True,
    "rows = []; rows.append(table[0])": False,
    "copy = sorted(table); copy.sort()": False,
}


@pytest.mark.parametrize("body", WRITERS)
def test_functions_that_change_what_they_get_are_told(body, tmp_path):
    place = put(tmp_path, f"def route(table, town):\n    {body}\n")
    assert edits.leaves_arguments_alone(place) is not WRITERS[body]


def test_a_handle_is_not_opened_in_a_function_that_others_call(tmp_path):
    text = "def f(table, x):\n    return table[x]\n\npool.map(partial(f, TABLE), xs)\n"
    assert edits.open_in_function(put(tmp_path, text), "table") is not None
    both = tmp_path / "both.py"
    both.write_text(f"{text}f(TABLE, 1)\n")
    assert edits.open_in_function(Place(str(both), 1), "table") is None


@pytest.mark.parametrize(
    ("name", "is_array", "is_big"),
    [
        ("numpy.ndarray", True, True),
        ("numpy.memmap", True, True),
        ("numpy.ndarray of objects", False, False),
        ("pandas.core.frame.DataFrame", False, True),
        ("pandas.core.series.Series", False, True),
        ("array.array", False, True),
        ("bytes", False, True),
        ("dict", False, False),
        ("app.models.ndarray", False, False),
    ],
)
def test_types_are_known_as_they_are_written(name, is_array, is_big):
    assert (kinds.is_array(name), kinds.is_big_data(name)) == (is_array, is_big)


def test_bound_argument_of_a_partial_is_wrapped(tmp_path):
    place = put(tmp_path, "p.map(partial(look, dict(TABLE)), xs)\n")
    change = edits.share_argument(place, "map", (0, 1), "table")
    assert only_line(change) == "p.map(partial(look, poolwise.share(dict(TABLE))), xs)"


def test_remedies_carry_their_edits(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(
        "def look(table, x):\n"
        "    return table[x]\n"
        "\n"
        "with Pool(2) as p:\n"
        "    p.map(partial(look, TABLE), xs, chunksize=1)\n"
    )
    heavy = leaf("partial.args[0]", 6e5, parameter="table")
    call = {
        "place": Place(str(path), 5),
        "function_place": Place(str(path), 1),
        "bytes_out": 72e6,
        "leaves": [heavy],
    }
    account = {"run_cpu": 0.1, "parent_pickle": 0.5, "parent_send": 0.2, "unpickle": 0.5}
    seen = run(pool(account, call=call, place=Place(str(path), 4)))
    by_kind = {remedy.kind: remedy for remedy in diagnose(seen).findings[0].remedies}
    ours, shared = by_kind["poolwise"], by_kind["share"]
    assert only_line(ours.changes[0]) == "with poolwise.Pool(2) as p:"
    wrapped, opened = shared.changes
    assert only_line(wrapped) == (
        "    p.map(partial(look, poolwise.share(TABLE)), xs, chunksize=1)"
    )
    assert opened.after == ["    table = table.get()", "    return table[x]"]


def test_threads_that_wait_get_items_one_by_one(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(
        "with Pool(2) as p:\n    p.map(fetch, urls, chunksize=25)\n    p.map(fetch, more)\n"
    )
    account = {"run_blocked": 4.0, "start": 0.01}
    call = {"place": Place(str(path), 2), "chunksize_asked": 25}
    seen = pool(account, call=call, place=Place(str(path), 1))
    changes = remedies.use_threads(seen, 32, None).changes
    assert [each.after for each in changes] == [
        ["with ThreadPool(32) as p:"], ["    p.map(fetch, urls, chunksize=1)"],
    ]  # fmt: skip


INPUTS = """
def fresh(n):
    for k in range(n):
        row = [k]
        yield row

def cleared(n):
    for k in range(n):
        row = [k]
        yield row
        row.clear()

def filled(n):
    buffer = [0]
    for k in range(n):
        buffer[0] = k
        yield buffer

given = cleared(5)
"""


@pytest.mark.parametrize(
    ("source", "kind", "is_safe"),
    [
        ("range(5)", "range", True),
        ("rows", "list", True),
        ("fresh(5)", "generator", True),
        ("(x for x in rows)", "generator", True),
        ("cleared(5)", "generator", False),
        ("filled(5)", "generator", False),
        ("enumerate(cleared(5))", "enumerate", False),
        ("given", "generator", False),
        ("lib.rows()", "generator", False),
    ],
)
def test_items_that_their_input_changes_get_no_chunks(source, kind, is_safe, tmp_path):
    text = f"{INPUTS}\npool.imap(f, {source})\n"
    place = Place(put(tmp_path, text).file, text.count("\n"))
    site = made_up.site({"run_cpu": 1.0}, 9, 9, 1.0, place=place, api="imap", input_type=kind)
    assert bool(remedies.set_chunksize(site, 3, None).changes) == is_safe


@pytest.mark.parametrize(
    ("text", "can_go"),
    [
        ("def f(x):\n    return x\n", True),
        ("import threading\ndef f(x):\n    return x\n", False),
        ("def f(x):\n    yield x\n", False),
        ("def f(x):\n    SEEN.append(x)\n", False),
        ("if True:\n    def f(x):\n        return x\n", False),
    ],
)
def test_functions_of_threads_go_to_processes_only_if_they_can(text, can_go, tmp_path):
    line = next(n for n, each in enumerate(text.split("\n"), 1) if "def" in each)
    place = Place(put(tmp_path, text).file, line)
    assert effects.can_go_to_processes(place) == can_go
