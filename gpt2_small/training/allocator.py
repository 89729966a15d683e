"""Configure glibc's allocator for training on a CPU: keep or return the memory of freed tensors.

By default glibc returns large blocks to the system, which must map and clear pages again for the
next step; and after freeing a block of up to 32 MB it allocates such blocks from one heap, which
fragments (mallopt(3)). Every training step frees tensors whose memory the next step needs again.
"""

import ctypes
import platform

# Parameters of mallopt, from malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4

# Blocks of at least this size are mapped separately, and returned when they are freed.
OWN_MAPPING_BYTES = 1 << 20


def keep_freed_memory() -> None:
    """Keep freed memory for later tensors: the fastest, with slightly more memory."""
    _set(_MMAP_MAX, 0)
    _set(_TRIM_THRESHOLD, -1)


def return_freed_memory() -> None:
    """Return freed memory to the system at once: slower, with the least memory."""
    _set(_MMAP_THRESHOLD, OWN_MAPPING_BYTES)


def _set(parameter: int, value: int) -> None:
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(parameter, value)
