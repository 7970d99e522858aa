"""Sweeps: a TOML file of grids, and the plans of its runs.

    strategies = ["slca", "mos"]
    streams = ["split-cifar100"]
    presets = ["small"]
    seeds = [1993, 1996, 1997]

    [options]
    lr = [0.01, 0.02]                  # a list is an axis: one run for each of its values
    "slca.ca_epochs" = 5               # for one strategy only
    "stream.train_per_class" = 100

    [run]
    precision = "bf16"

A file with several grids has each in a table `[[grid]]`, with `[grid.options]` and `[grid.run]`; what stands outside
of them holds for all. `[executor]` names the executor and its options.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cl.errors import Incompatible, UsageError, did_you_mean
from cl.options import flatten
from cl.plan.grids import Grid, grid
from cl.plan.plan import Plan
from cl.plan.presets import load_presets
from cl.plan.run_options import DEFAULT_BACKBONE, declared
from cl.tables import read_toml, record, refuse_unknown

_AXES = ("strategies", "streams", "backbones", "presets", "seeds")
_ONE = {"strategy": "strategies", "stream": "streams", "backbone": "backbones", "preset": "presets", "seed": "seeds"}
_TABLES = ("options", "run")
_OF_THE_COMMAND = {
    "threads": " It is an option of the command: --threads.",
    "jobs": " It stands in [executor], or is an option of the command: --jobs.",
    "profile": " `clbench run --profile` measures a single run.",
}


@dataclass(frozen=True)
class Axes:
    """One grid of a sweep file: every combination of the lists, and of the values of its options."""

    strategies: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()
    backbones: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
    seeds: tuple[int, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    run: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Sweep:
    """The grids of a file, its name and its executor."""

    name: str
    grids: tuple[Axes, ...]
    executor: Mapping[str, Any] = field(default_factory=dict)
    named: bool = True  # whether there is a file


def read_sweep(path: Path) -> Sweep:
    """Read a sweep file; raises `UsageError` with the place of an unknown key or a wrong value."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; name the TOML file of the sweep.")
    if not path.is_file():
        near = path.with_name(f"{path.name}.toml")
        raise UsageError(f"There is no sweep file {path}.{f' Did you mean {near}?' if near.is_file() else ''}")
    table = read_toml(path)
    refuse_unknown(_renamed(table, path), (*_AXES, *_TABLES, "grid", "executor"), str(path))
    shared = {key: value for key, value in table.items() if key not in ("grid", "executor")}
    given = table.get("grid", [{}])
    if not isinstance(given, list) or not given or not all(isinstance(each, Mapping) for each in given):
        raise UsageError(f"{path}: write every grid as a table [[grid]], with two brackets.")
    grids = [_axes(each, shared, f"{path}, grid {number}" if len(given) > 1 else str(path))
             for number, each in enumerate(given, 1)]  # fmt: skip
    executor = table.get("executor", {})
    if not isinstance(executor, Mapping):
        raise UsageError(f"{path}: write the executor as a table [executor] with name = {executor!r}.")
    return Sweep(path.stem, tuple(grids), executor)


def _renamed(keys: Iterable[str], place: Any) -> list[str]:
    """The keys; raises `UsageError` for the name of one value where a list has another."""
    for key in keys:
        if key in _ONE:
            raise UsageError(f"{place}: '{key}' is called '{_ONE[key]}' here, a list.")
    return list(keys)


def _axes(table: Mapping[str, Any], shared: Mapping[str, Any], place: str) -> Axes:
    merged = {**shared, **{key: value for key, value in table.items() if key not in _TABLES}}
    refuse_unknown(_renamed(merged, place), (*_AXES, *_TABLES), place)
    for key in _AXES:
        if key in merged and not isinstance(merged[key], list):
            merged[key] = [merged[key]]
        if merged.get(key) == []:
            raise UsageError(f"{place}: '{key}' is an empty list; leave it out, or name one.")
    for key in _TABLES:
        for each in (shared, table):
            if not isinstance(each.get(key, {}), Mapping):
                raise UsageError(f"{place}: {key} is a table, [{key}] or [grid.{key}].")
        merged[key] = {**_flat(shared.get(key, {}), place), **_flat(table.get(key, {}), place)}
    known = [key for key in declared() if key not in _ONE]
    for key in merged["run"]:
        if key not in known:
            where = f" It is a list outside of [run]: {_ONE[key]}." if key in _ONE else did_you_mean(key, known)
            where = _OF_THE_COMMAND.get(key, where)
            raise UsageError(f"{place}: [run] has no '{key}'.{where}")
    if empty := [key for key, value in merged["options"].items() if value == []]:
        raise UsageError(f"{place}: option '{empty[0]}' has an empty list; leave it out, or give a value.")
    return record(Axes, merged, place)


def _flat(table: Mapping[str, Any], place: str) -> dict[str, Any]:
    return flatten(table, place=f"{place}: ")


def plans_of(sweep: Sweep, only: Axes | None = None) -> Grid:
    """The plans of all grids, each folder once; `only` replaces lists and adds options, as a command line does.

    Raises `UsageError` for a wrong name or value, and if no combination is left.
    """
    plans: dict[Path, Plan] = {}
    skipped: list[str] = []
    for axes in sweep.grids:
        chosen = axes if only is None else _overridden(axes, only)
        for key, flag in (("strategies", "-s"), ("streams", "--stream")):
            if not getattr(chosen, key):
                whose = f"Sweep {sweep.name} names no {key}: add them" if sweep.named else f"Give GRID.toml, or {key}"
                raise UsageError(f"{whose}{', or give' if sweep.named else ' with'} {flag}.")
        found = _grid(chosen)
        skipped += found.skipped
        for plan in found.plans:
            plans.setdefault(plan.folder, plan)
    left_out = tuple(dict.fromkeys(skipped))
    if not plans:
        raise UsageError(" ".join(["There is nothing to run.", *left_out]))
    return Grid(tuple(plans.values()), left_out)


def _overridden(axes: Axes, only: Axes) -> Axes:
    lists = {name: getattr(only, name) for name in _AXES if getattr(only, name)}
    options = {**axes.options, **only.options}
    return dataclasses.replace(axes, **lists, options=options, run={**axes.run, **only.run})


def _grid(axes: Axes) -> Grid:
    """The plans of one grid; what a method cannot learn, or has no such preset for, is left out with a sentence."""
    options = {key: axis_text(value) for key, value in axes.options.items()}
    plans: list[Plan] = []
    skipped: list[str] = []
    names: Sequence[Sequence[Any]] = [axes.strategies, axes.streams, axes.backbones, axes.presets]
    for strategy, stream, backbone, preset in itertools.product(*(each or (None,) for each in names)):
        if preset is not None and not _has(preset, strategy, stream, backbone):
            where = " ".join(filter(None, [f"for {stream}" if stream else "", f"with {backbone}" if backbone else ""]))
            known = ", ".join(sorted({each.name for each in load_presets(strategy) if each.name})) or "none"
            skipped.append(f"{strategy} has no preset '{preset}' {where}; its presets: {known}.")
            continue
        try:
            found = grid(
                [strategy], [stream], axes.seeds or [None], [backbone],
                options=_of(strategy, options, axes.strategies), origin="sweep", preset=preset, **axes.run,
            )  # fmt: skip
        except Incompatible as error:
            skipped.append(str(error))
            continue
        plans += found.plans
        skipped += found.skipped
    return Grid(tuple(plans), tuple(skipped))


def _has(preset: str, strategy: str | None, stream: str | None, backbone: str | None) -> bool:
    """Whether a strategy has a preset of a name for a stream and a backbone; an open choice matches any."""
    if strategy is None:
        return True
    named = [each for each in load_presets(strategy) if each.name == preset]
    place = (stream or "", backbone or DEFAULT_BACKBONE)
    return any(each.matches(*place) for each in named) if stream else bool(named)


def _of(strategy: str | None, options: Mapping[str, str], every: Sequence[str]) -> dict[str, str]:
    """The options of a strategy: those for all, and its own, without those for other strategies of the grid."""
    others = tuple(f"{name}." for name in every if name != strategy)
    own = f"{strategy}."
    return {key: value for key, value in options.items() if key.startswith(own) or not key.startswith(others)}


def axis_text(value: Any) -> str:
    """A value of a sweep file as the command line writes it: a list is an axis, a list of lists an axis of lists."""
    if isinstance(value, list):
        if any(isinstance(each, list) for each in value):
            return ",".join(f"[{','.join(map(_text, each if isinstance(each, list) else [each]))}]" for each in value)
        return ",".join(map(_text, value))
    return _text(value)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
