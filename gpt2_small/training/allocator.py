"""Keep or return the memory of freed tensors on a CPU, where the C library is glibc's.

As it comes, glibc hands large blocks back to the system, which has to find, clear and map pages for
the next step's; and blocks up to 32 MB, once it has seen one freed, it keeps in one heap, in which
blocks of many sizes leave gaps (mallopt(3)). A training step frees what the next one needs again.
"""

import ctypes
import platform

# Parameters of mallopt, from malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4

# Blocks from this size on are mapped by themselves, and given back when they are freed.
OWN_MAPPING_BYTES = 1 << 20


def keep_freed_memory() -> None:
    """Keep what is freed, for the next tensor: the fastest, and it takes a little more memory."""
    _set(_MMAP_MAX, 0)
    _set(_TRIM_THRESHOLD, -1)


def return_freed_memory() -> None:
    """Give freed tensors back to the system at once: slower, and it takes the least memory."""
    _set(_MMAP_THRESHOLD, OWN_MAPPING_BYTES)


def _set(parameter: int, value: int) -> None:
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(parameter, value)
