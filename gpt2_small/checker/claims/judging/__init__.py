"""Compare observations with the reference, torch and stored results, within tolerances."""
