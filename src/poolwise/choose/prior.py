"""Prior of a call: the profile of an earlier tuning run, if there is one and it still holds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from poolwise.choose.model import Measured

if TYPE_CHECKING:
    from poolwise.choose.call import Call
    from poolwise.choose.plan import Plan
    from poolwise.doors.profile import Profile


def find_prior(call: Call, given: Any, plan: Plan) -> Profile | None:
    """Profile of this function, where it was tuned on such a machine; else the plan says why not.

    :param given: a path or a profile; None asks the environment.
    :raises ValueError: a file holds no profile, or ``given`` is for another function.
    """
    if given is None and not os.environ.get("POOLWISE_PROFILE"):
        return None  # the common case loads nothing
    prior = _find(call, given)
    if prior is None:
        return None
    why_not = prior.why_not_here() or prior.why_not_for(call.function)
    if why_not is not None:
        plan.notes.append(why_not)
        return None
    return prior


def _find(call: Call, given: Any) -> Profile | None:
    from poolwise.doors import profile

    if given is None:
        named = profile.profiles_of_environment()
        return next((each for each in named if each.is_about(call.function)), None)
    prior = given if isinstance(given, profile.Profile) else profile.read_profile(given)
    if not prior.is_about(call.function):
        message = prior.why_not_for(call.function)
        raise ValueError(message)
    return prior


def costs_of(prior: Profile) -> Measured:
    """Costs of an item when it was tuned, as those of this call."""
    costs = prior.costs
    return Measured(
        prior.items, costs["wall_s"], costs["cpu_s"], costs["process_cpu_s"], costs["send_s"],
        costs["gil"],
    )  # fmt: skip
