"""Compute a training step: its loss, micro-batches, learning rate and skipped updates."""
