"""Observe a part where the file runs: draw inputs, run it, and encode what it gave."""
