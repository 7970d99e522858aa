"""Counts whose ten classes of about the same number of images are known."""

from __future__ import annotations

NAMES = ("0-12", "13", "14-19", "20-25", "26-30", "31-36", "37-43", "44-51", "52-60", "61 or more")
"""The classes, if all have the same number of images but the last one more, and each its lowest count once or more."""
_LOWEST = (2, 13, 14, 20, 26, 31, 37, 44, 52, 61)


def count_of(label: int, turn: int) -> int:
    """A count in class `label`: the lowest one at turn 0, then others in turn."""
    above = _LOWEST[label + 1] if label + 1 < len(_LOWEST) else _LOWEST[label] + 12
    return _LOWEST[label] + turn % (above - _LOWEST[label])
