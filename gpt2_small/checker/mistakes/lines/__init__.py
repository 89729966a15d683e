"""Find the line of a file where a part first differs from the reference."""
