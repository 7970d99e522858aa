"""Every number among the defaults of a method is what it was: a default that changes by accident changes rows silently.

The numbers are in `defaults.json`, most of them from the papers or their code. A change there is a decision, with
another `version` or a preset for the old rows. `python -m tests.strategies.test_defaults` writes the file.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from cl import registry

FILE = Path(__file__).with_name("defaults.json")
METHODS = [name for name in registry.strategies if registry.strategies.distribution(name).name == "clbench"]


def numbers_of(method: str) -> dict[str, Any]:
    """The default of each option that is a number, a switch or a list of numbers."""
    options = registry.strategies.get(method).Options
    found = {each.name: getattr(options(), each.name) for each in dataclasses.fields(options)}
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in found.items()
        if isinstance(value, bool | int | float | tuple)
    }


@pytest.mark.parametrize("method", METHODS)
def test_the_numbers_among_the_defaults(method: str) -> None:
    assert numbers_of(method) == json.loads(FILE.read_text(encoding="utf-8"))[method]


if __name__ == "__main__":
    FILE.write_text(json.dumps({name: numbers_of(name) for name in METHODS}, indent=1, sort_keys=True) + "\n")
