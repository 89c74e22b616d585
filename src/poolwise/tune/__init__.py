"""Finds by trial what suits a machine and a program."""
