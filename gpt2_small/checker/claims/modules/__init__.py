"""State the claims about the eight modules, a file for each, and those they share."""
