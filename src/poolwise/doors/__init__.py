"""Doors: what the public interfaces have in common."""
