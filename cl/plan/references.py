"""How papers name strategies and streams, and cite strategies.

`references.bib` next to a strategy's file has BibTeX entries keyed by strategy names; the section `Name:` of the
docstring of a strategy or stream is its name in print.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cl import registry
from cl.errors import UsageError

FILE = "references.bib"

_ENTRY = re.compile(r"^@(\w+)\s*\{\s*([^,\s]+)\s*,", re.MULTILINE)
_ACCENTS = {"`": "\u0300", "'": "\u0301", "^": "\u0302", "~": "\u0303", '"': "\u0308"}
_ACCENT = re.compile(r"""\\([`'^~"])\{?(\w)\}?""")
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
    return _in_print(registry.strategies, strategy)


def stream_display_name(stream: str) -> str:
    """As `display_name`, such as Split CIFAR-100 for split-cifar100; a stream of a family has its own name."""
    return _in_print(registry.streams, stream)


def _in_print(known: registry.Registry[Any], name: str) -> str:
    try:
        found = _NAME.search(known.docstring(name))
    except UsageError:
        return name
    return found[1].strip() if found else name


@dataclass(frozen=True)
class Citation:
    """How a text names a paper: the key of its BibTeX entry, "Zhang et al., 2023", and its address, "" if not known."""

    key: str
    words: str
    url: str


def citation(strategy: str) -> Citation | None:
    """How to cite a strategy; None without a BibTeX entry, and for a strategy that is not installed."""
    try:
        entry = bibtex(strategy)
    except UsageError:
        return None
    if not entry:
        return None
    names = [_surname(name) for name in re.split(r"\s+and\s+", _field(entry, "author"))]
    who = names[0] + (" et al." if len(names) > 2 else f" and {names[1]}" if len(names) == 2 else "")
    number = _field(entry, "eprint")
    doi = _field(entry, "doi")
    url = _field(entry, "url") or (
        f"https://arxiv.org/abs/{number}" if number else f"https://doi.org/{doi}" if doi else ""
    )
    return Citation(strategy, ", ".join(filter(None, (who, _field(entry, "year")))), url)


def _field(entry: str, name: str) -> str:
    """The text of a field in braces or quotes without its inner braces; "" if it is not there."""
    match = re.search(rf"(?:^|[,\s]){name}\s*=\s*", entry, re.IGNORECASE)
    if match is None:
        return ""
    rest = entry[match.end() :]
    text = rest[: _end(rest, 0)] if rest.startswith("{") else re.split(r'(?<=.)"|[,\n]', rest, maxsplit=1)[0]
    text = _ACCENT.sub(lambda found: unicodedata.normalize("NFC", found[2] + _ACCENTS[found[1]]), text)
    return " ".join(re.sub(r'[{}"]', "", text).split())


def _surname(name: str) -> str:
    return name.partition(",")[0].strip() if "," in name else name.split(" ")[-1]


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
