"""Command lines for quick runs."""

from __future__ import annotations

SMALL = [
    *("--stream", "split-digits", "-b", "test_vit@random", "--set", "stream.tasks=2"),
    *("--limit", "2", "--threads", "1"),
]
"""Options of `clbench run` for two tasks of two images per class on a tiny network."""
