"""Probes of what programs use to run work beside: pools, executors, processes, queues."""
