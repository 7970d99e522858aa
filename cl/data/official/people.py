"""Photos of people, one folder and one number per photo: NEVIS'22's task of naming the person."""

from __future__ import annotations

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class

FEWEST = 5
"""Images of a person who is a class."""


def people(files: Files, pattern: str) -> Listing:
    """The listing of Labeled Faces in the Wild and its copies: `pattern` matches a path, its groups are person and
    number.

    A person's last two images are tested, the one before them is for validation; people with fewer than five are left
    out.
    """
    found: dict[str, list[tuple[int, str]]] = {}
    for name, match in files.match(pattern):
        found.setdefault(match[1], []).append((int(match[2]), name))
    rows: dict[str, list[tuple[str, str]]] = {"train": [], "val": [], "test": []}
    for person, numbered in found.items():
        if len(numbered) >= FEWEST:
            images = [(name, person) for _, name in sorted(numbered)]
            rows["train"] += images[:-3]
            rows["val"] += images[-3:-2]
            rows["test"] += images[-2:]
    return by_class(files, rows)
