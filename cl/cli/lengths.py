"""Lengths on the command line: `85mm`, `3.25in`, `column`."""

from __future__ import annotations

import re

from cl.errors import UsageError

NAMED = {"column": 3.25, "page": 6.75}
"""Widths in inches of a column and of the whole page in two-column papers, such as those of CVPR and ICML."""

_UNITS = {"mm": 1 / 25.4, "cm": 1 / 2.54, "in": 1.0, "pt": 1 / 72.27, "": 1 / 25.4}


def inches_of(text: str, option: str) -> float:
    """A width in inches: a number with mm (the default), cm, in or pt (of TeX), or a name of `NAMED`.

    Raises `UsageError` for anything else, and for a width outside of 20 mm to 2 m.
    """
    if text in NAMED:
        return NAMED[text]
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?(mm|cm|in|pt|)", text.strip())
    if match is None:
        raise UsageError(f"{option} needs a length such as 85mm, 3.25in or {', '.join(NAMED)}, not '{text}'.")
    found = float(match[1]) * _UNITS[match[2]]
    if not 20 <= 25.4 * found <= 2000:
        raise UsageError(f"{option} {text} is {25.4 * found:.0f} mm; choose 20 mm to 2000 mm.")
    return found
