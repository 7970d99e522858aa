"""Fonts of figures: DejaVu Sans, which comes with matplotlib, and for letters that it lacks what this machine has."""

from __future__ import annotations

import functools

FIRST = "DejaVu Sans"

OTHERS = (
    *(f"Noto Sans CJK {region}" for region in ("SC", "TC", "JP", "KR")),
    *("Noto Sans", "Noto Sans Devanagari", "Noto Sans Thai", "Source Han Sans", "WenQuanYi Zen Hei", "IPAexGothic"),
    *("PingFang SC", "Hiragino Sans", "Apple SD Gothic Neo", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic"),
    *("Nirmala UI", "Leelawadee UI", "Arial Unicode MS"),
)
"""Families for other scripts on Linux, macOS and Windows; one is used only for letters that those before it lack."""


def families(text: str) -> list[str]:
    """The families to draw a text with. A text in letters of the first one looks the same on every machine."""
    lacking, found = set(text) - _letters(FIRST), [FIRST]
    for name in OTHERS:
        if lacking & _letters(name):
            lacking -= _letters(name)
            found.append(name)
    return found


def missing(text: str) -> str:
    """The letters of a text that no font here has a glyph for, each once, in their order."""
    known = set[str]().union(*map(_letters, families(text)))
    return "".join(dict.fromkeys(letter for letter in text if letter.isprintable() and letter not in known))


@functools.cache
def _letters(family: str) -> frozenset[str]:
    """The letters of a family; none if it is not installed."""
    from matplotlib.font_manager import findfont, fontManager, get_font

    if family not in {font.name for font in fontManager.ttflist}:
        return frozenset()
    return frozenset(map(chr, get_font(findfont(family)).get_charmap()))
