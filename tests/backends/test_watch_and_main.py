"""The two threads of a worker look at its task pipe at the same time."""

from __future__ import annotations

import os
import threading

from poolwise.wire import codec, frames
from poolwise.worker.main import Worker


def test_the_watch_looks_at_the_pipe_while_the_main_thread_sleeps_on_it():
    task_reader, task_writer = os.pipe()
    result_reader, result_writer = os.pipe()
    worker = Worker(task_reader, result_writer, ())
    main = threading.Thread(target=worker.work)
    main.start()
    try:
        looks = [worker._has_give_back() for _ in range(2000)]
    finally:
        frames.FrameWriter(task_writer).write(codec.STOP, ())
        main.join()
        for fd in (task_reader, task_writer, result_reader, result_writer):
            os.close(fd)
    assert not any(looks)
