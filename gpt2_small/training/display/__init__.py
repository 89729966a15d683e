"""Show a run: its steps, samples, loss curve and trackers."""
