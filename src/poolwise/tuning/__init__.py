"""Finds by trial which kind, workers and chunk size suit a function."""
