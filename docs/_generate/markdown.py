"""Small pieces of Markdown: tables, escaped text, docstrings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any

_SPECIAL = re.compile(r"([\\*_<\[\]|])")
_ARXIV = re.compile(r"arXiv[: ](\d{4}\.\d{4,5})")
_SECTION = re.compile(r"([A-Z][A-Za-z]*(?: [a-z]+){0,3}):(?: +|$)(.*)")
_CODE = re.compile(r"(``.+?``|`[^`]+`)")


def text(words: str) -> str:
    """Plain text as Markdown: code spans stay, special characters are escaped, arXiv numbers become links."""
    parts = [part if part.startswith("`") else _SPECIAL.sub(r"\\\1", part) for part in _CODE.split(words)]
    return _ARXIV.sub(r"[arXiv \1](https://arxiv.org/abs/\1)", "".join(parts))


def sentence(words: str) -> str:
    """The same as `text`, with a capital first letter."""
    return text(words[:1].upper() + words[1:])


def code(value: Any) -> str:
    """A value as a code span; an empty value gives an empty string. Bars are escaped: they would end a table cell."""
    shown = str(value).replace("|", "&#124;")
    if not shown:
        return ""
    return f"`{shown}`" if "&#124;" not in shown else f"<code>{shown}</code>"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """A Markdown table; `numbers` are the right-aligned columns. Line breaks in cells become spaces."""
    right = set(numbers)
    lines = [_row(head), _row(["---:" if column in right else "---" for column in range(len(head))])]
    return "\n".join([*lines, *(_row(row) for row in rows)]) + "\n"


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(" ".join(cell.split()) for cell in cells) + " |"


def fenced(content: str, language: str = "") -> str:
    """A code block."""
    return f"```{language}\n{content.rstrip()}\n```\n"


@dataclass(frozen=True)
class Docstring:
    """First line, free paragraphs, and sections such as `Paper: ...` in order."""

    summary: str
    body: tuple[str, ...]
    sections: dict[str, str]


def parse_docstring(doc: str) -> Docstring:
    """Parse a docstring. A section begins with `Some words:` at the margin and continues with the indented lines below.

    Never raises: text in any other form is a paragraph.
    """
    first, _, rest = cleandoc(doc or "").partition("\n\n")
    body: list[list[str]] = [[]]
    sections: dict[str, list[str]] = {}
    current: list[str] = body[0]
    for line in rest.split("\n"):
        match = _SECTION.fullmatch(line.rstrip())
        if match:
            current = sections.setdefault(match[1], [])
            current.append(match[2])
        elif not line.strip() or (not line.startswith(" ") and current not in body):
            body.append([line])
            current = body[-1]
        else:
            current.append(line.strip())
    joined = {name: " ".join(part for part in lines if part) for name, lines in sections.items()}
    paragraphs = [" ".join(part for part in lines if part.strip()) for lines in body]
    return Docstring(" ".join(first.split()), tuple(each for each in paragraphs if each), joined)
