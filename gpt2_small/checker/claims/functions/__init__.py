"""State the claims about the seven functions, a file for each."""
