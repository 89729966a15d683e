"""List the known mistakes: a file for each part, with a list MISTAKES of `mistake.Mistake`."""
