"""Methods without code, for plans; the fixture `methods` registers them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cl import registry
from cl.options import nested, option
from cl.plan import presets

PRESETS = """
[[preset]]
stream = ["split-digits", "split-cifar*"]
source = "paper, table 3"
[preset.options]
lr = 0.3
epochs = 7
stream.tasks = 2
backbone.normalize = "half"

[[preset]]
backbone = "vit_base*"
source = "paper, appendix"
options = { lr = 0.4 }

[[preset]]
name = "other"
source = "somebody else"
options = { lr = 0.5 }
"""


class Method:
    """A method."""

    rules = ("cil_seen",)
    access = "present"
    val_fraction = 0.0
    version = "1"

    @dataclass(frozen=True)
    class Options:
        lr: float = option(0.1, "rate", gt=0)
        epochs: int = option(1, "epochs")
        note: str | None = option(None, "a note")
        steps: tuple[int, ...] = option((1, 2), "steps")


class Validating(Method):
    val_fraction = 0.25


class Wrapper(Method):
    @dataclass(frozen=True)
    class Options:
        base: str = option("method", "what to wrap")
        weight: float = option(0.5, "weight")
        base_options: Mapping[str, Any] = nested("base", "its options")


@pytest.fixture
def methods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The methods of this module are registered, "method" with presets in a file of the test."""
    path = tmp_path / "method.toml"
    path.write_text(PRESETS)
    nowhere = tmp_path / "none.toml"
    monkeypatch.setattr(presets, "presets_path", lambda name: path if name == "method" else nowhere)
    known = {"method": Method, "validating": Validating, "wrapper": Wrapper}
    for name, value in known.items():
        registry.strategies.register(name, value)
    yield
    for name in known:
        registry.strategies.unregister(name)
