"""The known mistakes, one file a part, each a list MISTAKES of `mistake.Mistake`."""
