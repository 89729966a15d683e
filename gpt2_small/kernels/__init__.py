"""Compute what the fast twin calls: a plain version of each kernel, and a faster one for a CPU.

The plain version is the specification, and what a GPU and torch's compiler are given. The CPU's has
a gradient written by hand, in eager mode alone.
"""
