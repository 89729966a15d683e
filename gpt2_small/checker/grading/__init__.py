"""Check and grade the files of a class."""
