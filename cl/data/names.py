"""Names of classes that say something, as opposed to numbers and identifiers."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NUMBERED = re.compile(r"(class|label|category|[a-z])[\W_]*\d+|n\d{8}", re.IGNORECASE)


def without_words(names: Iterable[str]) -> list[str]:
    """The names that are empty, a number ("7", "c7", "class 7") or an identifier of WordNet ("n01443537")."""
    return [name for name in names if _NUMBERED.fullmatch(name.strip()) or not any(map(str.isalpha, name))]
