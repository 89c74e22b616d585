"""Ordinary scripts of people who are new to pools, and whether the doctor's advice helps them."""
