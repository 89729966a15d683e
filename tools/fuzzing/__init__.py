"""Draw command lines and damaged files, run them, and judge how they end."""
