"""Observe an untrusted file in separate processes, and judge it in another.

A server imports torch once and forks the judge before any file runs. For every part it then forks a
child, which runs the file and sends tensors and texts. The judge compares them with expectations;
the child contains neither these nor the part's reference.
"""
