"""Draws samples with emcee and a pool, as its documentation advises. A program."""

import multiprocessing

import emcee
import numpy as np

WALKERS, DIMENSIONS, STEPS = 32, 5, 200


def log_probability(place):
    """A normal distribution."""
    return -0.5 * float(np.sum(place**2))


if __name__ == "__main__":
    np.random.seed(42)  # noqa: NPY002 - emcee draws from this one
    start = np.random.randn(WALKERS, DIMENSIONS)  # noqa: NPY002 - likewise
    with multiprocessing.Pool(2) as pool:
        sampler = emcee.EnsembleSampler(WALKERS, DIMENSIONS, log_probability, pool=pool)
        sampler.run_mcmc(start, STEPS)
    np.save("chain.npy", sampler.get_chain())
    print(sampler.acceptance_fraction)
