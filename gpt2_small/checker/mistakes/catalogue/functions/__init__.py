"""List the known mistakes in the seven functions."""
