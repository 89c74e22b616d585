"""Neighbours: one file for each library that runs on these pools, imported when it is asked for."""
