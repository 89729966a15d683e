"""Judge observations by the reference, torch and stored results, within tolerances."""
