"""Lanes on engines of others: executors, clusters. One chunk is one call there."""
