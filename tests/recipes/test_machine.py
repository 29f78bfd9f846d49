"""Machine: free memory goes back to the system."""

import sys

import pytest

from recipes.machine import return_memory


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="only this C library keeps free memory")
def test_free_memory_below_what_is_in_use_goes_back():
    blocks = [bytes(100_000) for _ in range(2000)]
    del blocks[:-1]
    before = resident()
    return_memory()
    assert resident() < before - 100_000_000
