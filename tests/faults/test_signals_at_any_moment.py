"""Ctrl-C and SIGTERM at moments that are drawn: the seed is printed, and `strikes` plays on."""

from __future__ import annotations

import random
import signal

import pytest

from tests.faults import strikes

SEED = random.randrange(10**6)
TERM = {"number": signal.SIGTERM}
EXIT = {"number": signal.SIGTERM, "has_handler": True}
ASYNCIO = [name for name in strikes.PROGRAMS if name.startswith("asyncio")]
SHUT = [name for name in ASYNCIO if name != "asyncio without with"]
"""Calls of an executor that nobody shuts down are run before the interpreter ends by SystemExit, as
the standard executor's are, unless it can be seen that a signal is the reason."""
QUICK = ["start", "map", "imap", "result", "as_completed", "shutdown", "asyncio", "nested"]


def draw(programs, moments, **rules):
    """Parameters of a test: the strikes, named by what they are."""
    drawn = strikes.draw_strikes(programs, moments, SEED, **rules)
    return [pytest.param(strike, id=f"{at}-{strike.program}") for at, strike in enumerate(drawn)]


def hold(strike, folder):
    seen = strikes.run(strike, folder)
    assert not strikes.find_faults(strike, seen), f"{strike}, seed {SEED}:\n{seen.err}"


@pytest.mark.slow
@pytest.mark.parametrize("strike", draw(strikes.PROGRAMS, 1))
def test_ctrl_c(strike, tmp_path):
    hold(strike, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("strike", draw([*QUICK, *ASYNCIO], 1, **TERM))
def test_sigterm(strike, tmp_path):
    hold(strike, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("strike", draw([*QUICK, *SHUT], 1, **EXIT))
def test_sigterm_whose_handler_raises_system_exit(strike, tmp_path):
    hold(strike, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("strike", draw(strikes.PROGRAMS, 20))
def test_ctrl_c_at_many_moments(strike, tmp_path):
    hold(strike, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize("strike", draw(strikes.PROGRAMS, 10, **TERM))
def test_sigterm_at_many_moments(strike, tmp_path):
    hold(strike, tmp_path)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "strike", draw([p for p in strikes.PROGRAMS if p in SHUT or p not in ASYNCIO], 10, **EXIT)
)
def test_exits_at_many_moments(strike, tmp_path):
    hold(strike, tmp_path)
