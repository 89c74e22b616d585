"""Functions and objects that break a worker, or what travels to and from it."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time

from poolwise.system import descriptors

ENDS = {
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "SIGSEGV": lambda: os.kill(os.getpid(), signal.SIGSEGV),
    "SIGABRT": lambda: os.kill(os.getpid(), signal.SIGABRT),
    "code 7": lambda: os._exit(7),
    "code 0": lambda: os._exit(0),
}
"""Ways of a process to end at once, by what a `WorkerDied` says of them."""


def end(how):
    """End this process."""
    silence_crashes()
    ENDS[how]()
    time.sleep(60)  # a signal may take a moment


def silence_crashes():
    """Tests print the stacks of processes that crash; these do it on purpose."""
    import faulthandler
    import resource

    faulthandler.disable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def double(number):
    return 2 * number


def end_at_three(number, how="SIGKILL"):
    if number == 3:
        end(how)
    return 2 * number


def raise_it(error):
    raise error


def raise_at_three(number, error=ValueError):
    if number == 3:
        msg = "three"
        raise error(msg)
    return 2 * number


def sys_exit(code):
    sys.exit(code)


def end_in_a_moment(size):
    """Return much; and end while it is written, or before, or after."""
    threading.Timer(0.002, end, ["SIGKILL"]).start()
    return [str(at) for at in range(size)]


class EndsWhenLoaded:
    def __init__(self, how="SIGKILL"):
        self.how = how

    def __reduce__(self):
        return end, (self.how,)


class EndsWhenPickled:
    """Given to a worker, or made there, it ends who pickles it."""

    def __reduce__(self):
        end("SIGKILL")


class RaisesWhenLoaded:
    def __reduce__(self):
        return raise_it, (ValueError("cannot be loaded"),)


class RaisesWhenPickled:
    def __reduce__(self):
        message = "cannot be pickled"
        raise ValueError(message)


class RecursesWhenPickled:
    def __reduce__(self):
        return RecursesWhenPickled, (RecursesWhenPickled(),)


class BadlyMade(Exception):
    """Does not unpickle: its constructor wants more than its args say."""

    def __init__(self, one, two):
        super().__init__(one)
        self.two = two


class NotPicklable(Exception):
    def __init__(self, said):
        super().__init__(said)
        self.lock = threading.Lock()


def make(kind, *args):
    return kind(*args)


def raise_made(kind, *args):
    raise kind(*args)


def return_lock():
    return threading.Lock()


def fail_start():
    message = "no start"
    raise RuntimeError(message)


def count_start(folder):
    """Note this start in ``folder``, then end."""
    name = f"{folder}/{os.getpid()}"
    with open(name, "x"):  # noqa: PTH123 - a worker loads no pathlib
        pass
    end("SIGKILL")


def close_descriptors():
    """As daemons do."""
    os.closerange(3, 1000)


def write_into_pipes(data):
    """As one does who has closed a descriptor twice, and has the pool's in its hand."""
    for fd in descriptors._own:
        try:
            os.write(fd, data)
        except OSError:
            pass  # the reading end of one


class ExitsWhenAsked(Exception):
    """What it says of itself ends the process, unless somebody looks out for it."""

    def __str__(self):  # noqa: PLE0307 - that is the point
        sys.exit(3)

    __repr__ = __str__


class RaisesElsewhere:
    """Cannot be rebuilt but where it was made."""

    def __init__(self, error):
        self.error = error

    def __reduce__(self):
        return raise_elsewhere, (os.getpid(), self.error)


def raise_elsewhere(pid, error):
    if os.getpid() != pid:
        raise error
