"""Settings of the C library's memory allocator for a run."""

from __future__ import annotations

import ctypes
import os
import platform

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Names of parameters of glibc's `mallopt`."""

_LARGE = 32 * 2**20
"""Bytes from which memory is still returned; the largest that all versions of glibc accept."""


def use_huge_pages() -> None:
    """Ask for pages of 2 MB for large tensors, unless the user has decided; call it before the first of them.

    Fewer pages make products and passes over the weights faster on Linux systems that give huge pages on request
    (`madvise`). Results are not affected.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # read by PyTorch at its first large tensor


def keep_freed_memory() -> bool:
    """Let the allocator reuse freed memory instead of returning it to the system; False where this is not possible.

    By default glibc returns tensors of a few megabytes to the system when they are freed. The system clears every page
    before it gives the memory back for the next tensor, which takes 5 % of a training step of a small ViT
    (benchmarks/cpu_kernels.py). Results are not affected. The process keeps such memory until it ends.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    settings = {_MMAP_THRESHOLD: _LARGE, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: _LARGE}
    return all(mallopt(parameter, value) == 1 for parameter, value in settings.items())  # stops at the first refusal
