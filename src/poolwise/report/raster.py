"""Many spans into few cells, so that the mix of colours stays true however fine the spans are.

Showing in each cell the state it holds most of would paint a lane that pickles for 40 % of every
millisecond as if it never did. Instead the error is carried on, as a printer does with greys: each
cell is given to the state that is owed most, and owes a cell's width for it. Over any stretch the
cells of a state sum to its time, within one cell, and a short span among long ones is seen.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poolwise.report.blocks import Span

NOTHING = -1
"""The state of a cell in which there is no span, or less of any than of none."""


def mix_cells(spans: Iterable[Span], start_s: float, end_s: float, cells: int) -> list[int]:
    """The state to show in each of ``cells`` equal parts of a lane's time.

    :param spans: of one lane, by rising start, not overlapping.
    """
    width_s = (end_s - start_s) / cells
    if width_s <= 0:
        return [NOTHING] * cells
    held = _hold(spans, start_s, width_s, cells)
    owed: dict[int, float] = {}
    shown = []
    for here in held:
        for state, time_s in here.items():
            owed[state] = owed.get(state, 0.0) + time_s
        owed[NOTHING] = owed.get(NOTHING, 0.0) + max(0.0, width_s - sum(here.values()))
        most = max(owed, key=owed.__getitem__)
        owed[most] -= width_s
        shown.append(most)
    return shown


def _hold(
    spans: Iterable[Span], start_s: float, width_s: float, cells: int
) -> list[dict[int, float]]:
    """Time of each state within each cell."""
    held: list[dict[int, float]] = [{} for _ in range(cells)]
    for span in spans:
        first = max(0, int((span.start_s - start_s) / width_s))
        last = min(cells - 1, int((span.end_s - start_s) / width_s))
        for at in range(first, last + 1):
            left_s = start_s + at * width_s
            time_s = min(span.end_s, left_s + width_s) - max(span.start_s, left_s)
            if time_s > 0:
                held[at][span.state] = held[at].get(span.state, 0.0) + time_s
    return held


def split_cells(values: Iterable[float], whole: float, cells: int) -> list[int]:
    """Split ``cells`` among values by largest remainders, so that their sum is right."""
    if whole <= 0:
        return [0 for _ in values]
    exact = [value / whole * cells for value in values]
    given = [int(value) for value in exact]
    left = round(sum(exact)) - sum(given)
    by_remainder = sorted(range(len(exact)), key=lambda at: given[at] - exact[at])
    for at in by_remainder[:left]:
        given[at] += 1
    return given
