"""Runs one source: who owns it, what it says, what is lost on the way, and what is written to it."""
