"""Grids of runs: every combination of strategies, streams, backbones, seeds and the values of an option.

Values are text from the command line. `slca.lr` is an option for that strategy only. Several values of a number, a
switch or a choice are separated by commas (`lr=0.01,0.02`); several lists or free texts are written in brackets
(`milestones=[1,2],[3,4]`), since they may contain commas.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import types
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from cl import registry
from cl.errors import ClbenchError, Incompatible, UsageError, did_you_mean
from cl.options import OptionInfo, options_of
from cl.plan.config_file import read_config
from cl.plan.plan import Plan, make_plan
from cl.plan.run_options import resolve_run
from cl.settings import SettingOptions


@dataclass(frozen=True)
class Grid:
    """The runs of a grid, and one sentence for every combination that was left out."""

    plans: tuple[Plan, ...]
    skipped: tuple[str, ...] = ()


def grid(
    strategies: Sequence[str | None],
    streams: Sequence[str | None],
    seeds: Sequence[int | None] = (None,),
    backbones: Sequence[str | None] = (None,),
    *,
    options: Mapping[str, str] | None = None,
    **arguments: Any,
) -> Grid:
    """A plan for every combination, each folder once, seeds innermost; `arguments` are those of `make_plan`.

    A name of None is taken from the config file, whose [run] may list several strategies, streams, backbones and seeds.
    A strategy that does not support a stream is left out. Raises `UsageError` for a wrong name or value before anything
    runs, and `Incompatible` if no combination is left.
    """
    listed = _listed(arguments)
    strategies, streams = listed("strategy", strategies), listed("stream", streams)
    seeds, backbones = listed("seed", seeds), listed("backbone", backbones)
    named = _named(strategies, arguments)
    own = _by_method(options or {}, named)
    refused: list[Incompatible] = []
    plans: dict[Path, Plan] = {}
    places = list(itertools.product(strategies, streams, backbones))
    for strategy, stream, backbone in places:
        name = strategy or named[0]
        for values, varied in _combinations(own[name], name, stream, arguments):
            try:
                for seed in seeds:
                    plan = make_plan(strategy, stream, backbone, options=values, seed=seed, **arguments)
                    plans.setdefault(plan.folder, dataclasses.replace(plan, varied=varied))
            except Incompatible as error:
                refused.append(error)
            except UsageError as error:
                raise UsageError(_about(error, strategy, stream, many=len(places) > 1)) from error
    if not plans and refused:
        raise refused[0]
    if not plans:
        raise ClbenchError("There is nothing to run.")
    return Grid(tuple(plans.values()), tuple(dict.fromkeys(map(str, refused))))


def _about(error: UsageError, strategy: str | None, stream: str | None, *, many: bool) -> str:
    """The sentence of an error, followed by its combination if there are several."""
    where = " on ".join(name for name in (strategy, stream) if name)
    return f"{error} ({where})" if many and where else str(error)


# ------------------------------------------------------------------------------------------------ options of one method


def _named(strategies: Sequence[str | None], arguments: Mapping[str, Any]) -> list[str]:
    """The strategies of the call, else of the config file; "" if neither names one."""
    if named := [name for name in strategies if name]:
        return named
    name = _table(arguments).get("strategy")
    return [resolve_run({}, {} if name is None else {"strategy": name}).strategy]


def _table(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The [run] table of the config file; empty without one."""
    file = arguments.get("config_file")
    return read_config(Path(file))[0] if file is not None else {}


def _listed(arguments: Mapping[str, Any]) -> Callable[[str, Sequence[Any]], Sequence[Any]]:
    """The values of an axis: those of the call, else a list in the config file, else [None]."""
    table = _table(arguments)

    def values(key: str, given: Sequence[Any]) -> Sequence[Any]:
        found = table.get(key)
        return found if list(given) == [None] and isinstance(found, list) and found else given

    return values


def _by_method(options: Mapping[str, str], given: Sequence[str]) -> dict[str, dict[str, str]]:
    """The options of each strategy: keys for all strategies, then its own METHOD.option.

    Raises `UsageError` for a METHOD that is not in the call.
    """
    prefixes = {"stream", "backbone"}  # and the prefixes of options for a wrapper's base
    for name in filter(None, given):
        prefixes |= {info.nested for info in options_of(registry.strategies.get(name).Options).values() if info.nested}
    everybody: dict[str, str] = {}
    alone: dict[str, dict[str, str]] = {name: {} for name in given}
    for key, value in options.items():
        owner = next((name for name in sorted(given, key=len, reverse=True) if name and key.startswith(f"{name}.")), "")
        if "." not in key or key.partition(".")[0] in prefixes:
            everybody[key] = value
        elif owner:
            alone[owner][key.removeprefix(f"{owner}.")] = value
        else:
            raise UsageError(_not_in_call(key, [*filter(None, given)], prefixes))
    return {name: {**everybody, **own} for name, own in alone.items()}


def _not_in_call(key: str, given: Sequence[str], prefixes: Iterable[str]) -> str:
    head = next((name for name in registry.strategies if key.startswith(f"{name}.")), key.rpartition(".")[0])
    hint = did_you_mean(head, [*given, *prefixes]) or f" This call has {', '.join(given) or 'no strategy'}."
    return f"--set {key} is for '{head}', which is not a strategy of this call.{hint}"


# ------------------------------------------------------------------------------------------------------- several values


def _combinations(
    options: Mapping[str, str], strategy: str, stream: str | None, arguments: Mapping[str, Any]
) -> Iterator[tuple[dict[str, str], str]]:
    """Every combination of option values, and the values of options that have several, in words."""
    declared = Declared(strategy, stream, options, arguments)
    axes = [values_in(text, declared.find(key)) for key, text in options.items()]
    several = {key for key, axis in zip(options, axes, strict=True) if len(axis) > 1}
    for values in itertools.product(*axes):
        chosen = dict(zip(options, values, strict=True))
        yield chosen, ", ".join(f"{key}={value}" for key, value in chosen.items() if key in several)


def values_in(text: str, info: OptionInfo | None) -> list[str]:
    """The values that a text lists for an option; only the text itself for one value or an unknown option."""
    if info is None:
        return [text]
    if re.fullmatch(r"\s*\[[^\[\]]*\](\s*,\s*\[[^\[\]]*\])+\s*", text):
        return [value.strip() for value in re.findall(r"\[([^\[\]]*)\]", text)]
    values = [value.strip() for value in text.split(",")]
    return values if len(values) > 1 and _separable(info, values) else [text]


def _separable(info: OptionInfo, values: Iterable[str]) -> bool:
    """Whether commas separate values of the option: it is a number, a switch or a choice."""
    choices = info.constraints.get("choices")
    kinds = list(_kinds(info.annotation))
    if tuple in kinds or Any in kinds:
        return False
    return str not in kinds or (choices is not None and all(value in map(str, choices) for value in values))


def _kinds(annotation: Any) -> Iterator[Any]:
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _kinds(member)
    else:
        yield Literal if origin is Literal else origin or annotation


class Declared:
    """Option declarations by key, for a strategy on a stream; `make_plan` refuses unknown keys."""

    def __init__(
        self, strategy: str, stream: str | None, options: Mapping[str, str], arguments: Mapping[str, Any]
    ) -> None:
        self.strategy, self.options = strategy, options
        file = arguments.get("config_file")
        table, (_, self.file_options) = read_config(Path(file)) if file is not None else ({}, ("", {}))
        self.stream = stream or table.get("stream", "")

    def find(self, key: str) -> OptionInfo | None:
        """The declaration of an option."""
        section, dot, rest = key.partition(".")
        if dot and section == "backbone":
            from cl.backbone.options import BackboneOptions

            return options_of(BackboneOptions).get(rest)
        if dot and section == "stream":
            family = registry.streams.get(self.stream).Options if self.stream else SettingOptions
            return {**options_of(SettingOptions), **options_of(family)}.get(rest)
        return self._of_strategy(self.strategy, key, "") if self.strategy else None

    def _of_strategy(self, strategy: str, key: str, prefix: str) -> OptionInfo | None:
        known = options_of(registry.strategies.get(strategy).Options)
        section, dot, rest = key.partition(".")
        if dot and "base" in known and section == "base":
            base = self.options.get(f"{prefix}base", self.file_options.get(f"{prefix}base", known["base"].default))
            return self._of_strategy(base, rest, f"{prefix}base.") if base in registry.strategies else None
        return known.get(key)
