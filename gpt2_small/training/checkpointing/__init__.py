"""Write, find and restore checkpoints, and initialise or load the first weights."""
