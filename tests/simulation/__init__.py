"""Pools in simulated time."""
