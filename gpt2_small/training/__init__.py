"""The training run: processes, steps, evaluation, log, picture."""
