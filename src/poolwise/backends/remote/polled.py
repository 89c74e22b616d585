"""Calls of engines that do not say when they are done: they are asked."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future
from typing import Any


class Poller:
    """Asks jobs whether they are done, in a thread that lives while there are any."""

    pause_s = 0.05
    """Such engines start a process or a batch job for each call, which takes longer than this."""

    def __init__(self) -> None:
        self._jobs: dict[Future[Any], Any] = {}
        self._lock = threading.Lock()
        self._is_awake = False

    def follow(self, job: Any) -> Future[Any]:
        """A future of the standard kind for a job with ``done()`` and ``result()``."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        with self._lock:
            self._jobs[future] = job
            if not self._is_awake:
                self._is_awake = True
                threading.Thread(target=self._ask, name="poolwise-jobs", daemon=True).start()
        return future

    def _ask(self) -> None:
        while True:
            with self._lock:
                self._is_awake = bool(self._jobs)
                if not self._is_awake:
                    return
                jobs = list(self._jobs.items())
            for future, job in jobs:
                if job.done():
                    with self._lock:
                        del self._jobs[future]
                    _settle(future, job)
            time.sleep(self.pause_s)


def _settle(future: Future[Any], job: Any) -> None:
    try:
        value = job.result()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(value)
