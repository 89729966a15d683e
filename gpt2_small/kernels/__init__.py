"""Kernels that the fast twin calls: a plain version of each, and native code for a CPU."""
