"""Match a wrong file with known mistakes: compare its observations with wrong references."""
