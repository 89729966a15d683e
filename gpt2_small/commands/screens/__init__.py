"""Print the commands' screens."""
