"""scikit-learn through joblib, against loky: a search of 60 short fits, a forest of 200 trees."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.harness.model import WORKERS, Claim, Entrant, Target, wall_time

if TYPE_CHECKING:
    from collections.abc import Callable


class Fit(NamedTuple):
    """What is fitted, and whether workers are there already."""

    model: Any
    data: tuple[Any, Any]
    is_warm: bool


def search(*, is_warm: bool) -> Callable[[], Fit]:
    def load() -> Fit:
        from sklearn.datasets import make_classification
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV

        grid = {"C": [10.0**step for step in range(-6, 6)]}  # times 5 folds
        data = make_classification(1000, 20, random_state=0)
        return Fit(GridSearchCV(LogisticRegression(), grid, cv=5), data, is_warm)

    return load


def forest(*, is_warm: bool) -> Callable[[], Fit]:
    def load() -> Fit:
        from sklearn.datasets import make_classification
        from sklearn.ensemble import RandomForestClassifier

        data = make_classification(2000, 100, random_state=0)
        return Fit(RandomForestClassifier(200, random_state=0), data, is_warm)

    return load


def by(backend: str) -> Callable[[Any, Fit], Any]:
    def run(_: Any, fit: Fit) -> Any:
        from joblib import parallel_config

        with parallel_config(backend, n_jobs=WORKERS):
            return fit.model.fit(*fit.data)

    return run


def prepare(backend: str) -> Callable[[Any, Fit], None]:
    """Imports are a claim of their own; a warm start has fitted the same before."""

    def warm(pool: Any, fit: Fit) -> None:
        from poolwise.integrations.joblib import register

        register()
        if fit.is_warm:
            by(backend)(pool, fit)

    return warm


def check(fit: Fit, fitted: Any) -> None:
    assert fitted.score(*fit.data) > 0.8, "wrong results"


CLAIM = Claim(
    title=f"scikit-learn on {WORKERS} workers of joblib's",
    cases={
        "60 short fits, cold": search(is_warm=False),
        "60 short fits, warm": search(is_warm=True),
        "forest of 200, cold": forest(is_warm=False),
        "forest of 200, warm": forest(is_warm=True),
    },
    measure=wall_time,
    check=check,
    is_fresh=True,
    rounds=5,
    entrants=[
        Entrant(name, by(name), warm=prepare(name))
        for name in ("poolwise", "loky", "multiprocessing")
    ],
    targets=[
        Target("loky"),
        Target("loky", 1.2, ["60 short fits, cold", "forest of 200, cold"]),
    ],
)
