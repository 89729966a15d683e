"""Serve the page and its requests."""
