"""The function of a call, in the shapes in which it is run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import starmap
from typing import TYPE_CHECKING, Any

from poolwise.choose import outside
from poolwise.doors.functions import is_coroutine_function

if TYPE_CHECKING:
    from poolwise.choose.seeds import Seeded
    from poolwise.options import TaskRules


class Call:
    """A function, whether it takes an item apart, and what belongs to its items.

    :param has_many: an item is a tuple of arguments.
    :param seed: each item has a random stream of its own.
    :raises TypeError: it cannot be called.
    """

    def __init__(self, function: Any, *, has_many: bool, seed: int | None) -> None:
        if not callable(function):
            message = f"the function must be callable, not {type(function).__name__}"
            raise TypeError(message)
        self.function: Callable[..., Any] = function
        self.has_many = has_many
        self.seeded: Seeded | None = None
        if seed is not None:
            from poolwise.choose.seeds import Seeded

            self.seeded = Seeded(function, seed, has_many=has_many)

    @property
    def name(self) -> str:
        """For people."""
        named = getattr(self.function, "func", self.function)
        return getattr(named, "__qualname__", type(named).__qualname__)

    @property
    def is_coroutine(self) -> bool:
        """Calling it gives a coroutine, to be awaited."""
        return is_coroutine_function(self.function)

    def run(self, items: Iterable[Any]) -> list[Any]:
        """Run some items in this thread, as the caller's own loop would."""
        function = self.function
        if self.seeded is not None:
            return [self.seeded(item) for item in items]
        if self.has_many:
            return [function(*item) for item in items]
        return [function(item) for item in items]

    def run_into(self, out: list[Any], items: Iterable[Any]) -> None:
        """Run items in one loop of C, where it is known how many there are.

        ``map`` takes a ``StopIteration`` of the function for the end of its input: count them.
        """
        apply = starmap if self.has_many else map
        out.extend(apply(self.function, items))

    def run_one(self, item: Any) -> Any:
        """Run one."""
        if self.seeded is not None:
            return self.seeded(item)
        return self.function(*item) if self.has_many else self.function(item)

    async def awaited(self, item: Any) -> Any:
        """Await the coroutine of one; its task has a context of its own."""
        if self.seeded is not None:
            return await self.seeded.awaited(item)
        return await (self.function(*item) if self.has_many else self.function(item))

    def run_one_with(self, rules: TaskRules, item: Any) -> Any:
        """Run one, and again as often as the rules say if it raises what they name."""
        for _ in range(rules.retries):
            try:
                return self.run_one(item)
            except rules.retry_on:
                pass
        return self.run_one(item)

    def for_pool(self, *, in_processes: bool) -> tuple[Callable[..., Any], bool]:
        """Function for a pool to call, and whether it takes items apart."""
        if self.seeded is None:
            return self._with_outside(self.function, in_processes=in_processes), self.has_many
        seeded = self.seeded if in_processes else self.seeded.beside_others()
        return self._with_outside(seeded, in_processes=in_processes), False

    def _with_outside(self, call: Any, *, in_processes: bool) -> Callable[..., Any]:
        if not in_processes:
            return call  # type: ignore[no-any-return]
        small, _ = outside.part(outside.read_outside(self.function))
        return outside.Carrying(call, small) if small else call

    def why_not_sent(self) -> str | None:
        """Reason why it cannot be sent to another process; None: it can."""
        import pickle

        try:
            pickle.dumps(self.function, 5, buffer_callback=lambda _: False)
        except Exception:
            return self._why_code_stays()
        return None

    def _why_code_stays(self) -> str | None:
        import cloudpickle

        try:
            cloudpickle.dumps(self.function)
        except Exception as error:
            return f"{self.name} cannot be sent to another process ({error})"
        return None
