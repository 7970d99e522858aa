"""Declared streams of parts of the digits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cl.declared.declaration import parse
from cl.declared.family import Declared
from cl.declared.options import DeclaredOptions
from cl.stream import Stream

DIGITS = {"reader": "stream", "stream": "split-digits"}


def digits(setting: str, *entries: dict[str, Any], splits: str = "official", **options: Any) -> Stream:
    """Parts of the digits as datasets of a stream, 6 training and 4 test images of each class."""
    content = {"name": "parts", "setting": setting, "size": 8, "splits": splits}
    declared = parse({**content, "datasets": [{**DIGITS, **entry} for entry in entries]}, Path("parts.toml"))

    class Parts(Declared):
        """Parts of the digits."""

        @classmethod
        def declaration(cls, argument: str = "") -> Any:
            return declared

    chosen = DeclaredOptions(**{"train_per_class": 6, "test_per_class": 4, **options})
    return Parts().build(chosen, order_seed=0, data_seed=0)


LOW = {"name": "low", "classes": ["zero", "one", "two"]}

HIGH = {"name": "high", "classes": ["five", "six"]}

SAME = {"name": "same", "classes": ["two", "one", "zero"]}
