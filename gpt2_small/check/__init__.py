"""Proof that a solution is GPT-2: reference activations, tolerances, shapes checked at run time."""
