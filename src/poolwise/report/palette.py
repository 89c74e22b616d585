"""Colours by meaning: what a worker was doing looks the same in every chart and every medium.

Work is green and cool, moving data is warm, waiting is violet or grey, what should not be there is
red. Each pair is chosen for contrast on its own background; neighbours in a bar differ in lightness
as well as in hue, so that they part for eyes that do not tell red from green. (Chosen by eye.)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from poolwise.account.states import Meaning


@dataclass(frozen=True)
class Ink:
    """One colour on a light and on a dark page; terminals take the latter, it reads on both."""

    light: str
    dark: str


PALETTE: dict[Meaning, Ink] = {
    "work": Ink("#1a9c6b", "#34c38f"),  # on a CPU, inside the user's function
    "blocked": Ink("#6cc5b0", "#7fdcc8"),  # inside the function, off the CPU: I/O, sleep, lock
    "cpu_wait": Ink("#d1335b", "#f0577c"),  # would run, but has no CPU
    "move_out": Ink("#e8743b", "#ff8f57"),  # bytes on their way to a worker
    "move_in": Ink("#c8581f", "#e0713a"),  # and back
    "pickle": Ink("#f2a93b", "#ffc15e"),  # objects to bytes
    "unpickle": Ink("#d98a12", "#e5a02d"),  # bytes to objects
    "starved": Ink("#8b6fd1", "#a98df0"),  # a worker waits for the parent
    "hand_over": Ink("#b9a7e6", "#c9b8f6"),  # work is on its way, the worker not awake yet
    "input": Ink("#c06fc9", "#dc93e4"),  # a worker waits because the input is slow
    "consumer": Ink("#6f86c9", "#93a9ee"),  # a worker waits because nobody reads results
    "start": Ink("#3b8fd9", "#5cabf2"),  # a worker comes to be
    "load": Ink("#86bdec", "#94caf8"),  # it imports
    "init": Ink("#1f66a8", "#3f86cc"),  # it runs the user's initializer
    "tail": Ink("#9aa5b1", "#8592a3"),  # nothing is left for this worker
    "absent": Ink("#dfe4ea", "#3d4652"),  # there is no worker here
    "other": Ink("#5f6b7a", "#b9c2cf"),  # everything else, the unexplained included
}

GOOD, FAIR, BAD = Ink("#14805a", "#3fd69b"), Ink("#b26a00", "#ffc15e"), Ink("#c3284e", "#ff6b8b")
