"""Define the options that several commands share, and find what they name."""
