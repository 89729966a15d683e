"""Define the fast twin's kernels: a plain version of each, and a faster one for CPUs.

The plain version is the specification; GPUs and torch's compiler use it. The CPU version has a
hand-written gradient and runs in eager mode alone.
"""
