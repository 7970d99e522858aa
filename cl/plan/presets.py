"""Presets: option values from papers, in TOML files next to each strategy, chosen by stream and backbone.

`presets/NAME.toml` next to the strategy's file is a list of tables:

    [[preset]]
    stream = "split-cifar100"            # fnmatch pattern or list of them, default "*"
    backbone = "vit_base_patch16_224*"   # likewise
    source = "paper, table 3"            # where the values come from
    name = "pilot"                       # optional: a variant that only `--preset pilot` chooses
    [preset.options]                     # the keys of --set
    lr = 0.01
    stream.tasks = 10
    backbone.normalize = "half"

Matching presets without a name apply automatically, in file order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from cl import registry
from cl.errors import UsageError, did_you_mean
from cl.options import flatten
from cl.tables import read_record


@dataclass(frozen=True)
class Preset:
    """Published option values, and the streams and backbones for which they are meant."""

    origin: str
    name: str | None
    stream: tuple[str, ...]
    backbone: tuple[str, ...]
    source: str
    options: Mapping[str, Any]  # keys as for --set: lr, stream.tasks, backbone.normalize

    def matches(self, stream: str, backbone: str) -> bool:
        """Whether the preset is meant for this stream and backbone."""
        return any(fnmatchcase(stream, pattern) for pattern in self.stream) and any(
            fnmatchcase(backbone, pattern) for pattern in self.backbone
        )


def presets_path(strategy: str) -> Path | None:
    """The path of a strategy's presets, which need not exist; None for a strategy without a source file."""
    source = registry.strategies.source(strategy)
    return source.parent / "presets" / f"{strategy}.toml" if source is not None else None


def load_presets(strategy: str) -> list[Preset]:
    """All presets of a strategy, in file order; raises `UsageError` with the file and the place of a mistake."""
    path = presets_path(strategy)
    if path is None or not path.is_file():
        return []
    tables = read_record(path, _File).preset
    return [_preset(table, strategy, f"{path}, preset {number}") for number, table in enumerate(tables, 1)]


def choose(strategy: str, stream: str, backbone: str, name: str | None = None) -> list[Preset]:
    """The presets that apply, lowest first: unnamed ones that match, then those called `name`.

    Raises `UsageError` if `name` is given and no preset of that name matches this stream and backbone.
    """
    found = load_presets(strategy)
    matching = [preset for preset in found if preset.matches(stream, backbone)]
    chosen = [preset for preset in matching if preset.name is None]
    if name is None:
        return chosen
    named = [preset for preset in matching if preset.name == name]
    if not named:
        names = sorted({preset.name for preset in matching if preset.name is not None})
        known = f" Known: {', '.join(names)}." if names else " It has none; leave --preset out."
        raise UsageError(
            f"{strategy} has no preset '{name}' for {stream} with {backbone}.{did_you_mean(name, names) or known}"
        )
    return chosen + named


@dataclass(frozen=True)
class _Table:
    """One [[preset]] table."""

    source: str
    name: str | None = None
    stream: str | tuple[str, ...] = "*"
    backbone: str | tuple[str, ...] = "*"
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _File:
    """A file of presets."""

    preset: tuple[_Table, ...] = ()


def _preset(table: _Table, strategy: str, place: str) -> Preset:
    if not table.source:
        raise UsageError(f"{place}: say where the values come from (source = ...).")
    return Preset(
        origin=f"preset {strategy}:{table.name}" if table.name else f"preset {strategy}#{place.rpartition(' ')[2]}",
        name=table.name,
        stream=_patterns(table.stream, place),
        backbone=_patterns(table.backbone, place),
        source=table.source,
        options=flatten(table.options),
    )


def _patterns(value: str | tuple[str, ...], place: str) -> tuple[str, ...]:
    if not value:
        raise UsageError(
            f"{place}: stream and backbone take a pattern or a list of patterns, and it must not be empty."
        )
    return (value,) if isinstance(value, str) else value
