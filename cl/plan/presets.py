"""Presets: option values from papers, kept as TOML beside each strategy, chosen by stream and backbone.

`presets/NAME.toml` beside the strategy's file is a list of tables:

    [[preset]]
    stream = "split-cifar100"            # fnmatch pattern or list of them, default "*"
    backbone = "vit_base_patch16_224*"   # likewise
    source = "paper, table 3"            # where the values come from
    name = "pilot"                       # optional: a variant that only `--preset pilot` chooses
    [preset.options]                     # the keys of --set
    lr = 0.01
    stream.tasks = 10
    backbone.normalize = "half"

Unnamed presets that match apply by themselves, in file order.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from cl import registry
from cl.errors import UsageError, did_you_mean
from cl.files import toml_load
from cl.options import flatten


@dataclass(frozen=True)
class Preset:
    """Option values that somebody published, and where they hold."""

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
    """Where the presets of a strategy would be; None for a strategy without a source file."""
    source = registry.strategies.source(strategy)
    return source.parent / "presets" / f"{strategy}.toml" if source is not None else None


def load_presets(strategy: str) -> list[Preset]:
    """All presets of a strategy, in file order; raises `UsageError` naming the file for one that is malformed."""
    path = presets_path(strategy)
    if path is None or not path.is_file():
        return []
    content = toml_load(path)
    unknown = sorted(set(content) - {"preset"})
    if unknown:
        raise UsageError(f"{path}: '{unknown[0]}' stands outside a [[preset]] table.")
    return [_parse(strategy, index, table, path) for index, table in enumerate(content.get("preset", []), start=1)]


def choose(strategy: str, stream: str, backbone: str, name: str | None = None) -> list[Preset]:
    """The presets that apply, lowest first: unnamed ones that match, then those called `name`.

    Raises `UsageError` when `name` is given and no preset of that name is meant for this stream and backbone.
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


_KEYS = ("name", "stream", "backbone", "source", "options")


def _parse(strategy: str, index: int, table: Mapping[str, Any], path: Path) -> Preset:
    where = f"{path}, preset {index}"
    for key in table:
        if key not in _KEYS:
            raise UsageError(f"{where}: unknown key '{key}'.{did_you_mean(key, list(_KEYS))}")
    name = table.get("name")
    if not table.get("source"):
        raise UsageError(f"{where}: say where the values come from (source = ...).")
    return Preset(
        origin=f"preset {strategy}:{name}" if name else f"preset {strategy}#{index}",
        name=name,
        stream=_patterns(table.get("stream", "*"), where),
        backbone=_patterns(table.get("backbone", "*"), where),
        source=table["source"],
        options=flatten(table.get("options", {})),
    )


def _patterns(value: Any, where: str) -> tuple[str, ...]:
    patterns = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else ()
    if not patterns or not all(isinstance(pattern, str) for pattern in patterns):
        raise UsageError(f"{where}: stream and backbone take a pattern or a list of patterns, not {value!r}.")
    return patterns
