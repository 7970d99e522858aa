"""BibTeX of strategies: `references.bib` beside a strategy's file, entries keyed by the names of strategies."""

from __future__ import annotations

import re
from pathlib import Path

from cl import registry

FILE = "references.bib"

_ENTRY = re.compile(r"^@(\w+)\s*\{\s*([^,\s]+)\s*,", re.MULTILINE)


def bibtex(strategy: str) -> str:
    """The BibTeX entry of a strategy, built in or a plugin's; "" where its package gives none.

    Raises `UsageError` for an unknown strategy.
    """
    source = registry.strategies.source(strategy)
    path = source.parent / FILE if source is not None else None
    return entries(path).get(strategy, "") if path is not None and path.is_file() else ""


def entries(path: Path) -> dict[str, str]:
    """Every entry of a BibTeX file by its key. An entry begins a line; what stands between entries is left out."""
    text = path.read_text(encoding="utf-8")
    return {match[2]: text[match.start() : _end(text, match.start())] for match in _ENTRY.finditer(text)}


def _end(text: str, start: int) -> int:
    """The place after the brace that closes the first one; the end of the text where none does."""
    depth = 0
    for match in re.compile(r"(?<!\\)[{}]").finditer(text, start):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.end()
    return len(text)
