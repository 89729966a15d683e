"""Train models: runs, steps, evaluation, checkpoints, and several processes."""
