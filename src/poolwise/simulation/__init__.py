"""Pools in simulated time: the pool's own scheduling code, on CPUs that exist only as numbers."""
