"""List the known mistakes in the eight modules."""
