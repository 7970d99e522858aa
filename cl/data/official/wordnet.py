"""Sets of images of ImageNet's classes in folders that are named after WordNet numbers."""

from __future__ import annotations

import re

from cl.data.official.files import Files
from cl.data.official.listing import Listing, by_class

_NAMED = re.compile(r"(n\d{8})\s+(\S.*)")
_IMAGE = r"(?:(?:train|test)/)?(n\d{8})/[^/]+\.(?i:jpe?g|png)"


def numbered(files: Files, root: str) -> Listing:
    """All images below the folder `root`, in folders of their classes, which a port may have dealt to train/ and test/.

    Classes are in the order of their numbers and have the names that README.txt gives them, else their numbers.
    """
    images = [(name, found[1]) for name, found in files.match(f"{root}/{_IMAGE}")]
    numbers = sorted({number for _, number in images})
    readme = f"{root}/README.txt"
    lines = files.lines(readme, "latin-1") if readme in files else []
    said = {found[1]: found[2] for line in lines if (found := _NAMED.fullmatch(line))}
    names = {number: said.get(number, number) for number in numbers}
    if len(set(names.values())) < len(names):
        names = {number: number for number in numbers}
    return by_class(files, {"all": [(name, names[number]) for name, number in images]}, tuple(names.values()))
