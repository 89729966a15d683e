"""Serve HTTP: guard requests, parse their fields, run model work in turns, stream responses."""
