"""Observe a file that is not trusted in processes of its own, and judge it in another.

A server imports torch once and forks the judge before any file runs. For every part it then forks a
child, which runs the file and hands tensors and texts over. The judge compares them with what it
alone knows; the child holds neither an expectation nor the reference of the part.
"""
