"""Read conversations, render them with their targets, and store them in a folder."""
