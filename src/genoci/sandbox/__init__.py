"""Processes apart from the host."""
