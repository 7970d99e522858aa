"""Decoded images in the cache, and what `clbench cache` lists."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from cl.cli import call
from cl.data.decoded import decoded_store

Shown = pytest.CaptureFixture[str]


def listed(capsys: Shown) -> dict[str, list[dict[str, Any]]]:
    """What `clbench cache --json` lists, by kind."""
    capsys.readouterr()
    assert call(["cache", "--json"]) == 0
    found: dict[str, list[dict[str, Any]]] = {}
    for item in json.loads(capsys.readouterr().out):
        found.setdefault(item["kind"], []).append(item)
    return found


def decode_something(value: int = 0) -> None:
    """Put two decoded images into the cache, under a key of this value."""
    decoded_store("toy", f"{value:064x}", np.zeros(2, np.int64), lambda: lambda i: np.full((4, 4, 3), i, np.uint8))
