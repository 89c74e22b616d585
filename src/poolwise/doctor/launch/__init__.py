"""Runs the program in an interpreter of its own, and looks at it from beside."""
