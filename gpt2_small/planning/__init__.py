"""Estimate the time, memory and scaling of a training run before it starts."""
