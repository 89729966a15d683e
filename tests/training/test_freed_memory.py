"""Test the allocator settings of a run on a CPU: freed memory kept or returned."""

import platform

import pytest
from processes import ROOT, printed_by

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc's allocator is configured"
)

BEGIN = """
import resource, torch
from gpt2_small.training import allocator as freed_memory

def resident():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * resource.getpagesize()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

torch.ones(20 << 18)  # 20 MB that are freed at once: now glibc keeps blocks of that size
"""
FAULTS_OF_A_SECOND_TENSOR = """
torch.ones(64 << 18)
before = faults()
torch.ones(60 << 18)  # a little smaller: glibc looks for room to align it in
print(faults() - before)
"""
KEPT_OF_EVERY_SECOND_TENSOR = """
before = resident()
tensors = [torch.ones(2 << 18) for _ in range(80)]
del tensors[::2]
print((resident() - before) / (2 << 20))
del tensors
"""


def before_and_after(call: str, measure: str) -> list[float]:
    """Return a measurement in a process, and the same one after a call."""
    code = BEGIN + measure + call + measure
    return [float(line) for line in printed_by(code, ROOT).split()]


def test_a_new_tensor_reuses_the_pages_of_a_freed_one() -> None:
    as_it_is, kept = before_and_after("freed_memory.keep_freed_memory()", FAULTS_OF_A_SECOND_TENSOR)
    assert as_it_is > 10_000
    assert kept < 100


def test_freed_tensors_leave_no_gaps_when_memory_is_short() -> None:
    as_it_is, returned = before_and_after(
        "freed_memory.return_freed_memory()", KEPT_OF_EVERY_SECOND_TENSOR
    )
    assert as_it_is > 70
    assert returned < 45
