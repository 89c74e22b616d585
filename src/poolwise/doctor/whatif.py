"""Predictions for the heaviest call in a doctor's records, in the shape of those for a report."""

from __future__ import annotations

from dataclasses import dataclass

from poolwise.account.whatif import Forecast, check_chunksize, check_kind, check_number
from poolwise.doctor.evidence.features import Evidence
from poolwise.doctor.predict.calls import Model, calibrate


@dataclass(frozen=True)
class Asked:
    """The model of a call of another library's pool, asked as a pool's own report is."""

    model: Model
    title: str
    kind: str = "processes"

    @property
    def workers(self) -> int:
        """Workers of the run."""
        return self.model.workers

    @property
    def cpus(self) -> int:
        """CPUs of the machine."""
        return self.model.cpus

    def ask(
        self,
        workers: int | None = None,
        chunksize: int | str | None = None,
        kind: str | None = None,
    ) -> Forecast:
        """The prediction for these settings; as it was where not given.

        :raises ValueError: a setting makes no sense.
        """
        kind = check_kind(kind or self.kind)
        chunk = self.model.chunk if chunksize is None else check_chunksize(chunksize)
        if chunk is None:
            message = "chunksize=auto: the pool of this record does not size its chunks itself"
            raise ValueError(message)
        count = check_number("workers", self.workers if workers is None else workers)
        if kind == "serial":
            return self._make(1, None, kind, self.model.serial_s())
        if kind == "threads":
            note = "if the function holds the GIL while it computes"
            return self._make(count, None, kind, self.model.threads_s(count), note)
        return self._make(count, chunk, kind, self.model.pool_s(chunk, count))

    def _make(
        self, workers: int, chunk: int | None, kind: str, seconds: float, *notes: str
    ) -> Forecast:
        width = self.model.width(chunk)
        low_s, high_s = seconds * (1 - width), seconds * (1 + width)
        return Forecast(workers, chunk, kind, seconds, low_s, high_s, self.model.now_s, notes)


def ask_heaviest(seen: Evidence) -> Asked:
    """The call with most work, of which there is a model.

    :raises ValueError: there is none.
    """
    pairs = [(site, pool) for pool in seen.pools for site in pool.sites]
    for site, pool in sorted(pairs, key=lambda pair: -pair[0].work_s):
        model = calibrate(site, pool, seen)
        if model is not None:
            name = site.function.rpartition(".")[2]
            return Asked(model, f"{site.place or ''} {site.api}({name})".strip())
    message = "no call in these records can be predicted: too little was recorded, or it is threads"
    raise ValueError(message)
