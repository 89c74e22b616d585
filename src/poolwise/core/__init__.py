"""Decisions: what to send where and when. No processes, no pipes, no clocks of its own."""
