"""Puts our doors where a program looks for the standard ones.

Every public way to a standard pool ends in one of two classes: `multiprocessing.Pool` and the
`Pool` of each context call `multiprocessing.pool.Pool`, and `concurrent.futures` hands out
`concurrent.futures.process.ProcessPoolExecutor`. So no name is replaced, for a program may have
bound it long ago: while installed, a new object of exactly one of these two classes becomes one
of ours as it is made. The classes stay the classes they were: programs name them in annotations,
subclass them and ask `isinstance`, to which our objects answer yes.

A subclass keeps the standard class under it, because it may override what ours does not have
(`Process`, `_setup_queues`, ...), and so does a pool of a class in which the program has replaced
such a part. `ThreadPool` is one of these subclasses. What else a program adds to a class, or puts
in the place of a method, our objects have as well (`poolwise.standard.disguise`).

Why `__init__` is what we replace: a class that was once given a `__new__` cannot be restored
(CPython then refuses arguments to its constructor), and a metaclass would clash with the
metaclasses of users' subclasses.

Two kinds of module are reached later than the call of `install()`:

* those the program has not imported are opened just after it does (`_DropIn.find_spec`), so that
  the program's own set of imports does not grow;
* those of its children. Under fork they are inherited; under spawn and forkserver a stowaway in
  the data that multiprocessing sends to prepare a child calls `install()` there. The environment
  takes no part, so a program that clears it loses nothing.

Programs that the program starts for itself, with `subprocess`, run as they always did.
"""

from __future__ import annotations

import os.path
import sys
from _thread import allocate_lock  # `threading` would be an import the program did not ask for

# Every program under `poolwise run` loads this file, and `typing` costs more than all the rest.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.abc import Loader
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    Undo = Callable[[], None]


def install() -> None:
    """Make `multiprocessing` and `concurrent.futures` give out our pools; idempotent.

    Pools made before go on as what they are.
    """
    _DROP_IN.install()


def uninstall() -> None:
    """Take back `install()`: new pools are standard ones again; idempotent.

    Pools made while installed go on as what they are, and so do processes started meanwhile.
    """
    _DROP_IN.uninstall()


def is_installed() -> bool:
    """True if new standard pools are ours."""
    return _DROP_IN.is_installed


class _DropIn:
    """Changes made by `install()`; on `sys.meta_path` it waits for modules not imported yet."""

    def __init__(self) -> None:
        self.is_installed = False
        self._lock = allocate_lock()
        self._undo: dict[ModuleType, Undo] = {}

    def install(self) -> None:
        with self._lock:
            self.is_installed = True
            if self not in sys.meta_path:
                sys.meta_path.insert(0, self)
        # Not under the lock: an import under way in another thread is waited for, and needs it.
        for name in _OPENERS:
            if name in sys.modules:
                __import__(name)
                self.open(sys.modules[name])

    def uninstall(self) -> None:
        with self._lock:
            self.is_installed = False
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            while self._undo:
                _, undo = self._undo.popitem()
                undo()

    def open(self, module: ModuleType) -> None:
        with self._lock:
            if self.is_installed and module not in self._undo:
                self._undo[module] = _OPENERS[module.__name__](module)

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if name not in _OPENERS:
            return None
        # Only the finders behind us: one before us may be asking on its own behalf already.
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                if spec.loader is not None:
                    spec.loader = _OpenAfterwards(spec.loader)  # type: ignore[assignment]
                return spec
        return None


class _OpenAfterwards:
    """A module's own loader, except that the module is opened as soon as it is complete."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        _DROP_IN.open(module)


def _open_pool(module: ModuleType) -> Undo:
    def load_door() -> type:
        from poolwise.pool import Pool

        return Pool

    return _turn_into(module.Pool, load_door)


def _open_executor(module: ModuleType) -> Undo:
    def load_door() -> type:
        from poolwise.executor import ProcessPoolExecutor

        return ProcessPoolExecutor

    return _turn_into(module.ProcessPoolExecutor, load_door)


def _turn_into(standard: Any, load_door: Callable[[], type]) -> Undo:
    """Let new objects of ``standard``, not of its subclasses, become ones of the door."""
    original = standard.__init__
    disguises: dict[type, type] = {}

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 - it becomes one
        if type(self) is not standard or not is_installed():
            original(self, *args, **kwargs)
            return
        from poolwise.standard.disguise import disguise, is_rebuilt, replace_results

        if is_rebuilt(standard, original):
            original(self, *args, **kwargs)
            return
        door = load_door()
        if door not in disguises:
            disguises[door] = disguise(door, standard)
        self.__class__ = disguises[door]
        replace_results(self, standard)
        self.__init__(*args, **kwargs)

    __init__.__doc__ = original.__doc__
    __init__.__wrapped__ = original  # type: ignore[attr-defined] # read by inspect.signature
    return _swap(standard, "__init__", __init__)


def _follow_children(module: ModuleType) -> Undo:
    original = module.get_preparation_data

    def get_preparation_data(name: str) -> dict[str, Any]:
        data: dict[str, Any] = original(name)
        if is_installed():
            data["poolwise"] = _Stowaway()
        return data

    return _swap(module, "get_preparation_data", get_preparation_data)


class _Stowaway:
    """Travels among the data that prepare a child; unpickling it calls `install()` there.

    As source text and not as a function of ours: the child unpickles it before it takes over its
    parent's `sys.path`, hence may not find us by itself, and must not die of that.
    """

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str, dict[str, Any]]]:
        home = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        return exec, (_IN_THE_CHILD.format(home=home), {})


_IN_THE_CHILD = """\
import sys
sys.path.append({home!r})  # for the next line only: preparing the child sets the whole of sys.path
try:
    from poolwise.dropin import install
except ImportError:
    pass  # we cannot be seen from there: the child uses the standard pools
else:
    install()
"""


def _swap(owner: Any, name: str, value: object) -> Undo:
    original = vars(owner)[name]
    setattr(owner, name, value)

    def undo() -> None:
        # What somebody has put around ours since then is theirs; ours sleeps on inside it.
        if vars(owner)[name] is value:
            setattr(owner, name, original)

    return undo


_OPENERS: dict[str, Callable[[ModuleType], Undo]] = {
    "multiprocessing.pool": _open_pool,
    "concurrent.futures.process": _open_executor,
    "multiprocessing.spawn": _follow_children,
}
_DROP_IN = _DropIn()
