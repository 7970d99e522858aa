"""Freed memory stays with the process."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys

import pytest

SCRIPT = """
import resource, torch
from cl.running.allocator import keep_freed_memory
kept = keep_freed_memory() if {keep} else False
for _ in range(4):
    torch.ones(20_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4):
    torch.ones(20_000_000)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> tuple[bool, int]:
    """Whether memory is kept, and the page faults of allocating 320 MB in a fresh process."""
    command = [sys.executable, "-c", SCRIPT.format(keep=keep)]
    kept, count = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return kept == "True", int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator has these settings")
def test_memory_is_allocated_again_without_page_faults() -> None:
    pages = 4 * 80_000_000 // resource.getpagesize()
    kept, few = faults(keep=True)
    assert kept and few < pages / 100
    assert faults(keep=False)[1] > pages / 10  # else the test measures nothing; huge pages may save some


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from cl.running import allocator

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not allocator.keep_freed_memory()
