"""Telemetry: progress, events and output of workers, told while a pool runs."""
