"""Define the options shared by commands, and resolve their values."""
