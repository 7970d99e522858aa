"""Tables that fit a terminal: cells of words are wrapped, and where that is not enough each row becomes lines."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from cl.errors import printable
from cl.results.tables import aligned

NARROWEST = 12
"""Characters to which a column of words may shrink."""


def fitted(
    columns: Sequence[str], rows: Sequence[Sequence[str]], width: int | None, left: Sequence[str] = ()
) -> list[str]:
    """The lines of a table in at most `width` characters; None: as wide as it is, which `aligned` gives.

    Columns in `left` hold words, and are wrapped, then the heads of the others; numbers are never cut. If that is not
    enough, each row is printed as lines `column: cell`, the first of them at the margin.
    """
    lines = aligned(columns, rows, left=left)
    if width is None or max(map(len, lines)) <= width:
        return lines
    columns, rows = [printable(name) for name in columns], [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    leasts = [
        max(map(len, [*name.split(), *cells])) for name, *cells in zip(columns, *rows, strict=True)
    ]  # of numbers, whose heads may be in several lines
    room = width - 3 * len(columns) - 1
    while sum(widths) > room:
        words = [index for index, name in enumerate(columns) if name in left and widths[index] > NARROWEST]
        heads = [index for index, least in enumerate(leasts) if columns[index] not in left and widths[index] > least]
        if not words and not heads:
            return _as_lines(columns, rows, width)
        widths[max(words or heads, key=widths.__getitem__)] -= 1
    return _wrapped(columns, rows, widths, left)


def _wrapped(
    columns: Sequence[str], rows: Sequence[Sequence[str]], widths: Sequence[int], left: Sequence[str]
) -> list[str]:
    def lines(cells: Sequence[str]) -> list[list[str]]:
        parts = [_lines(cell, width) for cell, width in zip(cells, widths, strict=True)]
        height = max(map(len, parts))
        return [[(part + [""] * height)[number] for part in parts] for number in range(height)]

    head, body = lines(columns), [line for row in rows for line in lines(row)]
    names = [f"{index}" for index in range(len(columns))]  # a name may be wrapped, and two may begin alike
    as_left = [index for index, name in zip(names, columns, strict=True) if name in left]
    padded = aligned(names, [*head, *body], left=as_left)
    return [*padded[2 : 2 + len(head)], padded[1], *padded[2 + len(head) :]]


def _as_lines(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    found = []
    for row in rows:
        for number, (name, cell) in enumerate(zip(columns, row, strict=True)):
            if cell or not number:
                indent = "  " if number else ""
                found += wrapped(f"{indent}{name}: {cell}".rstrip(), width, len(indent) + 2)
    return found


def _lines(cell: str, width: int) -> list[str]:
    return textwrap.wrap(cell, width, break_on_hyphens=False) or [""]


def wrapped(line: str, width: int | None, hang: int) -> list[str]:
    """A line of text as lines of at most `width` characters, the later ones indented by `hang`.

    A word that is longer, such as a path or a command, stays whole, so that it can be copied.
    """
    if width is None or len(line) <= width:
        return [line]
    hang = hang if hang <= width // 2 else 4
    text = line.lstrip(" ")
    return textwrap.wrap(
        text, width, initial_indent=" " * (len(line) - len(text)), subsequent_indent=" " * hang,
        break_long_words=False, break_on_hyphens=False, replace_whitespace=False, expand_tabs=False,
    )  # fmt: skip
