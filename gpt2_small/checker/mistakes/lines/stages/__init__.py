"""Compare the results in a part's trace with the reference's intermediate results (stages)."""
