"""Show a run: console, samples, plot, trackers."""
