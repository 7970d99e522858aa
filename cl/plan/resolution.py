"""Resolves layers of values to the options of strategy, stream and backbone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cl import registry
from cl.errors import UsageError
from cl.options import Layer, Value, options_of, resolve, split_keys
from cl.plan import compatibility
from cl.plan.presets import choose
from cl.plan.run_options import RunOptions
from cl.settings import SettingOptions, needed, resolve_stream, usual


@dataclass(frozen=True)
class Resolved:
    """Options of the strategy, the stream, its settings and the backbone; every value with its origin."""

    options: Any
    stream_options: Any
    transforms: SettingOptions
    backbone_options: Any
    values: Mapping[str, Value]
    untuned: bool


def resolve_new(run: RunOptions, layers: Sequence[Layer]) -> Resolved:
    """Options of a new run: presets and requirements of the method have lower precedence than `layers`.

    Raises `UsageError` for an unknown key or a wrong value, and `Incompatible` for an unsupported setting.
    """
    method = registry.strategies.get(run.strategy)
    found = choose(run.strategy, run.stream, run.backbone, run.preset)
    below: list[Layer] = [(each.origin, each.options) for each in found]
    if getattr(method, "val_fraction", 0.0):
        below.insert(0, (f"strategy {run.strategy}", {"stream.val_fraction": method.val_fraction}))
    resolved = _resolved(run, [*below, *layers], fresh=len(below), untuned=not found)
    return _with_origins_by_value(resolved, run, below)


def _with_origins_by_value(resolved: Resolved, run: RunOptions, below: Sequence[Layer]) -> Resolved:
    """A value that equals the one it would have anyway has the origin of that one: the user's layers changed nothing.

    The config file of a run, which names every value, then gives the same origins as the command did.
    """
    try:
        usual = _resolved(run, below, fresh=len(below), untuned=resolved.untuned).values
    except UsageError:  # the run needs the user's values
        return resolved

    def same(key: str, each: Value) -> bool:  # 1 image per class is not 1.0, all of them
        return key in usual and repr(usual[key].value) == repr(each.value)

    values = {
        key: dataclasses.replace(each, origin=usual[key].origin) if same(key, each) else each
        for key, each in resolved.values.items()
    }
    return dataclasses.replace(resolved, values=values)


def resolve_existing(run: RunOptions, layers: Sequence[Layer], *, untuned: bool) -> Resolved:
    """Options of an existing run from its config.toml; presets are not read."""
    return _resolved(run, layers, fresh=None, untuned=untuned)


def _resolved(run: RunOptions, layers: Sequence[Layer], *, fresh: int | None, untuned: bool) -> Resolved:
    """`fresh`: number of layers below the user's for a new run, None for an existing run."""
    from cl.backbone.options import BackboneOptions

    method = registry.strategies.get(run.strategy)
    sections: dict[str, list[Layer]] = {"": [], "stream": [], "backbone": []}
    for origin, mapping in layers:
        for section, values in split_keys(mapping).items():
            sections[section].append((origin, values))
    family = registry.streams.get(run.stream)
    stream_options, transforms, stream_values = resolve_stream(family.Options, sections["stream"])
    if fresh is not None:
        sections[""].insert(fresh, ("setting online", usual(transforms, method)))
    options, values = _resolve_strategy(method, sections[""], run, fresh=fresh is not None)
    compatibility.check(run.strategy, options, run.stream, stream_options, needed(transforms))
    backbone_options, backbone_values = resolve(BackboneOptions, sections["backbone"], prefix="backbone.")
    return Resolved(
        options, stream_options, transforms, backbone_options,
        values={**values, **stream_values, **backbone_values}, untuned=untuned,
    )  # fmt: skip


def _resolve_strategy(
    method: Any, layers: Sequence[Layer], run: RunOptions, *, fresh: bool, prefix: str = ""
) -> tuple[Any, dict[str, Value]]:
    """Options of a strategy; a wrapper's include its base's, resolved with the base's own presets."""
    options, values = resolve(method.Options, layers, prefix=prefix)
    wrapped = [key for key, info in options_of(method.Options).items() if info.nested == "base"]
    if not wrapped:
        return options, values
    base, inside = registry.strategies.get(options.base), f"{prefix}base."
    if check := getattr(method, "check_base", None):
        check(options.base, base)
    base_layers: list[Layer] = []
    if fresh:
        found = choose(options.base, run.stream, run.backbone)
        base_layers = [(each.origin, split_keys(each.options)[""]) for each in found]
    base_layers += [(origin, split_keys(mapping, ("base",))["base"]) for origin, mapping in layers]
    inner, inner_values = _resolve_strategy(base, base_layers, run, fresh=fresh, prefix=inside)
    values = {key: value for key, value in values.items() if not key.startswith(inside)}
    return dataclasses.replace(options, **{wrapped[0]: dataclasses.asdict(inner)}), {**values, **inner_values}


def shorthands(run: RunOptions) -> list[Layer]:
    """--few-shot, --skip-damaged, --setting, --sealed and --limit as options of the stream.

    Raises `UsageError` if the stream has no such options.
    """
    known = options_of(registry.streams.get(run.stream).Options)
    layers: list[Layer] = []
    if run.few_shot:
        if "shots" not in known:
            raise UsageError(f"Stream {run.stream} has no option shots; leave --few-shot out.")
        layers.append(("--few-shot", {"stream.shots": 5}))
    if run.skip_damaged:
        if "skip_damaged" not in known:
            raise UsageError(f"Stream {run.stream} reads no folder of yours; leave --skip-damaged out.")
        layers.append(("--skip-damaged", {"stream.skip_damaged": True}))
    if run.setting:
        layers.append(("--setting", {"stream.setting": run.setting}))
    if run.sealed:
        key = next((key for key in ("evaluate_split", "split") if key in known), None)
        if key is None:
            raise UsageError(f"Stream {run.stream} holds no training images out; leave --sealed out.")
        layers.append(("--sealed", {f"stream.{key}": "val"}))
    if run.limit is not None:
        layers.append(("--limit", _limit(run.limit, run.stream, list(known))))
    return layers


def _limit(limit: int | float, stream: str, known: Sequence[str]) -> dict[str, int | float]:
    """`--limit` as options of a stream: an integer is images per class, a fraction is a share of them."""
    keys = [key for key in ("train_per_class", "test_per_class") if key in known]
    if not keys:
        raise UsageError(f"Stream {stream} cannot be limited; leave --limit out.")
    if limit <= 0 or (isinstance(limit, float) and limit > 1):
        raise UsageError(f"--limit must be a whole number of images per class or a fraction up to 1.0, not {limit}.")
    return {f"stream.{key}": limit for key in keys}
