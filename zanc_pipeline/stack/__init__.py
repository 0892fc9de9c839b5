"""Starts, checks and stops the local processes."""
