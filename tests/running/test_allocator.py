"""Freed memory stays with the process."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import pytest

SIZES = [3_000_000, 3_500_000, 4_000_000, 4_500_000]
"""Numbers of each step's tensors."""

SCRIPT = """
import ctypes, resource, torch
from cl.running.allocator import keep_freed_memory
kept = keep_freed_memory() if {keep} else ctypes.CDLL(None).mallopt(-3, 131072) != 1
def step():
    tensors = [torch.ones(size) for size in {sizes}]
for _ in range(20):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(keep: bool) -> tuple[bool, int]:
    """Whether memory is kept, and the page faults of ten steps in a fresh process after twenty others."""
    command = [sys.executable, "-c", SCRIPT.format(keep=keep, sizes=SIZES)]
    kept, count = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return kept == "True", int(count)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc's allocator has these settings")
def test_memory_is_allocated_again_without_page_faults() -> None:
    pages = 10 * 4 * sum(SIZES) // resource.getpagesize()
    kept, few = faults(keep=True)
    assert kept and few < pages / 100
    assert faults(keep=False)[1] > pages / 10  # returned: tensors have memory of their own from the system


HUGE = Path("/sys/kernel/mm/transparent_hugepage/enabled")

PAGES = """
import torch
from cl.running.allocator import use_huge_pages
{call}
tensors = [torch.ones(3_000_000) for _ in range(8)]
with open("/proc/self/smaps") as file:
    print(sum(int(line.split()[1]) for line in file if line.startswith("AnonHugePages")))
"""


@pytest.mark.skipif(not HUGE.exists() or "[madvise]" not in HUGE.read_text(), reason="no huge pages on request")
@pytest.mark.parametrize(
    ("call", "given", "huge"),
    [("use_huge_pages()", {}, True), ("", {}, False), ("use_huge_pages()", {"THP_MEM_ALLOC_ENABLE": "0"}, False)],
)
def test_large_tensors_get_huge_pages_unless_the_user_decides(call: str, given: dict[str, str], huge: bool) -> None:
    environment = {key: value for key, value in os.environ.items() if key != "THP_MEM_ALLOC_ENABLE"} | given
    command = [sys.executable, "-c", PAGES.format(call=call)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert (int(done.stdout) > 20_000) == huge  # kB of 96 MB


def test_a_refused_setting_leaves_the_others_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from cl.running import allocator

    asked: list[int] = []

    class Library:
        @staticmethod
        def mallopt(parameter: int, value: int) -> int:
            asked.append(parameter)
            return 0

    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.28"))
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda _: Library)
    assert not allocator.keep_freed_memory() and asked == [allocator._MMAP_THRESHOLD]


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from cl.running import allocator

    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    assert not allocator.keep_freed_memory()
