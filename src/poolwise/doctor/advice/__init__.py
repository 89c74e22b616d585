"""Remedies of findings: priced, put in order, derived as edits from the program's text."""
