"""How papers name and cite strategies.

`references.bib` next to a strategy's file has BibTeX entries keyed by strategy names; the section `Name:` of its
docstring is the name in print.
"""

from __future__ import annotations

import re
from pathlib import Path

from cl import registry
from cl.errors import UsageError

FILE = "references.bib"

_ENTRY = re.compile(r"^@(\w+)\s*\{\s*([^,\s]+)\s*,", re.MULTILINE)
_NAME = re.compile(r"^ *Name: +(\S.*)$", re.MULTILINE)


def bibtex(strategy: str) -> str:
    """The BibTeX entry of a strategy, built in or a plugin's; "" if its package has none.

    Raises `UsageError` for an unknown strategy.
    """
    source = registry.strategies.source(strategy)
    path = source.parent / FILE if source is not None else None
    return entries(path).get(strategy, "") if path is not None and path.is_file() else ""


def display_name(strategy: str) -> str:
    """The name of a strategy in print, such as DER++ for der-pp: the section `Name:` of its docstring.

    Without it, or if the strategy is not installed, it is the name itself.
    """
    try:
        found = _NAME.search(registry.strategies.docstring(strategy))
    except UsageError:
        return strategy
    return found[1].strip() if found else strategy


def entries(path: Path) -> dict[str, str]:
    """Every entry of a BibTeX file by its key. Entries begin at the start of a line; other text is skipped."""
    text = path.read_text(encoding="utf-8")
    return {match[2]: text[match.start() : _end(text, match.start())] for match in _ENTRY.finditer(text)}


def _end(text: str, start: int) -> int:
    """The position after the brace that closes the first one; the end of the text if none does."""
    depth = 0
    for match in re.compile(r"(?<!\\)[{}]").finditer(text, start):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.end()
    return len(text)
