"""Ordinary scripts, each a program of its own. Its first lines say what the doctor shall say."""
