"""The generated content of the site: whole pages, and the tables that fill placeholders in other pages."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from cl import registry

from . import api, commands, strategies, streams, tables

ROOT = Path(__file__).resolve().parents[2]

TABLES: dict[str, Callable[[], str]] = {
    "commands": commands.reference,
    "inputs": tables.inputs,
    "metrics": tables.metrics,
    "record": tables.record,
    "strategies": strategies.overview,
    "streams": streams.overview,
}
"""Functions whose text replaces `<!-- generated: NAME -->` in a page."""

ADOPTED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "results/reference/README.md": "measured.md",
}
"""Files outside docs/ that are also pages of the site."""

_PLACEHOLDER = re.compile(r"<!-- generated: (\w+) -->")
_LINK = re.compile(r"(?<!\\)(!?)\[([^\]]*)\]\(([^()\s]+)\)")
_FENCE = re.compile(r"(^(?:```|~~~).*?^(?:```|~~~)$)", re.MULTILINE | re.DOTALL)


def generated() -> dict[str, Callable[[], str]]:
    """Every generated page: its address in docs/ and the function that makes it."""
    found: dict[str, Callable[[], str]] = {}
    for name in strategies.own(registry.strategies):
        found[f"strategies/{strategies.page_of(name)}.md"] = partial(strategies.page, name)
    for name in strategies.own(registry.streams):
        found[f"streams/{strategies.page_of(name)}.md"] = partial(streams.page, name)
    found |= api.generated()
    for source, page in ADOPTED.items():
        found[page] = partial(_adopted, source, page)
    return found


def _adopted(source: str, page: str) -> str:
    return relink((ROOT / source).read_text(encoding="utf-8"), source, page)


def fill(text: str) -> str:
    """A page with its placeholders filled."""
    return _PLACEHOLDER.sub(lambda match: TABLES[match[1]](), text)


def relink(text: str, source: str, page: str) -> str:
    """Rewrite the links of a repository file for the site.

    `source` is the file's path in the repository, `page` its address in docs/. A link to a file that is not a page of
    the site becomes plain text; a link to a notebook leads to its page.
    """

    def moved(match: re.Match[str]) -> str:
        mark, words, target = match.groups()
        if re.match(r"[a-z]+:|#", target):
            return match[0]
        path, hash_mark, anchor = target.partition("#")
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        place = ADOPTED.get(place, place.removeprefix("docs/") if place.startswith("docs/") else "")
        if not place:
            return words
        place = re.sub(r"\.ipynb$", ".md", place)
        return f"{mark}[{words}]({posixpath.relpath(place, posixpath.dirname(page) or '.')}{hash_mark}{anchor})"

    parts = _FENCE.split(text)
    return "".join(part if index % 2 else _LINK.sub(moved, part) for index, part in enumerate(parts))
