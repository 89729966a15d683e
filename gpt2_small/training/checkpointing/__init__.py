"""Write, find and restore checkpoints, and draw or load the first weights."""
