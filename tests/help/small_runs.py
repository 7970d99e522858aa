"""Runs that take a second: SimpleCIL on few images, with a random backbone."""

from __future__ import annotations

from typing import Any

import cl

OPTIONS: dict[str, Any] = {"stream.tasks": 2, "stream.train_per_class": 6, "backbone.image_size": 32}
SMALL = ["--stream", "split-digits", "--backbone", "test_vit@random"]
SMALL += [text for key, value in OPTIONS.items() for text in ("--set", f"{key}={value}")]


def run(**options: Any) -> cl.RunResult:
    """The result of such a run, with more options."""
    return cl.run("simplecil", "split-digits", backbone="test_vit@random", options={**OPTIONS, **options}, seed=7)
