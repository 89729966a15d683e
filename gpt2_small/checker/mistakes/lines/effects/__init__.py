"""Compare a function's effects (calls, reads, updates) with the reference's."""
