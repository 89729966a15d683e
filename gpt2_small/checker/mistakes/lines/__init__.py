"""Find the line of a file where a part leaves the reference."""
