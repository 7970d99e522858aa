"""Options as dataclasses whose values keep their origin.

Precedence, lowest first: default < preset < config file < environment < command line. Keys: `lr` belongs to the
strategy, `stream.tasks` to the stream, `backbone.normalize` to the backbone, `base.lr` to the base of a wrapper.
"""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args, get_type_hints

from cl.errors import ContractError, UsageError, did_you_mean
from cl.scales import Scale, problem_of
from cl.values import describe, parse_value, shortened

T = TypeVar("T")
OptionsT = TypeVar("OptionsT")

DEFAULT = "default"
VARIABLE = "CLBENCH_SET"
ENVIRONMENT = "environment"
"""The origin of values from `VARIABLE`."""
_NAMES = {ENVIRONMENT: VARIABLE}
"""Origins that errors call by another name."""
_DEEPEST = 20
"""Levels of nested tables that options may have."""
Layer = tuple[str, Mapping[str, Any]]
"""An origin and the values it sets."""


@dataclass(frozen=True)
class Value:
    """A resolved value and its origin."""

    value: Any
    origin: str


def option(
    default: T,
    help: str,
    *,
    ge: float | None = None,
    gt: float | None = None,
    le: float | None = None,
    lt: float | None = None,
    choices: Sequence[Any] | None = None,
    infinite: bool = False,
    unlisted: bool = False,
    env: str = "",
    search: Scale | None = None,
) -> T:
    """A field of an options dataclass: its default, its help text and the values it accepts.

    Bounds and choices apply to every element of a tuple; None always passes if the annotation allows it. `infinite`
    allows infinity, which only an option that no record holds may do. `unlisted`:
    recorded only when changed, so that hashes of older records stay valid. `env`: name of an environment variable,
    which only `cl.plan.run_options` reads. `search`: the values among which `clbench tune` looks for the best one, such
    as `scales.log(1e-4, 1e-1)`; it is part of no result.
    """
    constraints: dict[str, Any] = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    constraints = {name: bound for name, bound in constraints.items() if bound is not None}
    if choices is not None:
        constraints["choices"] = tuple(choices)
    if infinite:
        constraints["infinite"] = True
    metadata = {"help": help, "constraints": constraints, "unlisted": unlisted, "env": env, "search": search}
    if isinstance(default, list | dict | set):
        raise ContractError(f"an option's default must not be mutable ({default!r}); use a tuple.")
    return dataclasses.field(default=default, metadata=metadata)


def nested(prefix: str, help: str) -> Mapping[str, Any]:
    """A field that collects every key that starts with `prefix.`, such as a wrapper's options for its base.

    A strategy with options `base: str` and `base_options = nested("base", ...)` receives the options of the base
    strategy fully resolved: its defaults, its presets and the user's values. Keys are stored without the prefix.
    """
    metadata = {"help": help, "constraints": {}, "nested": prefix}
    return dataclasses.field(default_factory=dict, metadata=metadata)


@dataclass(frozen=True)
class OptionInfo:
    """The declaration of one option, as `clbench info` prints it."""

    key: str
    annotation: Any
    default: Any
    help: str
    constraints: Mapping[str, Any]
    nested: str | None = None
    unlisted: bool = False
    env: str = ""
    search: Scale | None = None

    @property
    def type_name(self) -> str:
        return describe(self.annotation)


def options_of(options_class: type) -> dict[str, OptionInfo]:
    """The options of a dataclass, in order; raises `ContractError` for a field without a default."""
    hints = get_type_hints(options_class)
    found: dict[str, OptionInfo] = {}
    for field in dataclasses.fields(options_class):
        if not field.init:
            continue
        if field.default is not dataclasses.MISSING:
            default: Any = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        else:
            raise ContractError(
                f"{options_class.__qualname__}.{field.name} needs a default; use cl.option(default, help)."
            )
        found[field.name] = OptionInfo(
            field.name,
            hints[field.name],
            default,
            field.metadata.get("help", ""),
            field.metadata.get("constraints", {}),
            field.metadata.get("nested"),
            field.metadata.get("unlisted", False),
            field.metadata.get("env", ""),
            field.metadata.get("search"),
        )
        if (scale := found[field.name].search) is not None:
            try:
                fitting(scale, found[field.name])
            except UsageError as error:
                raise ContractError(f"{options_class.__qualname__}: {error}") from error
    return found


def fitting(scale: Scale, info: OptionInfo, key: str = "") -> Scale:
    """A scale whose values have the type of its option; raises `UsageError` if the option does not accept them all."""
    key = key or info.key
    problem = problem_of(scale)
    members = (*get_args(info.annotation), info.annotation)
    if scale.kind != "among" and not {int, float} & set(members):
        problem = problem or f"is for numbers, and {key} is {info.type_name}: use among(...)"
    if problem:
        raise UsageError(f"The scale {scale} of {key} {problem}.")
    given = scale.values or (scale.low, scale.high)
    texts = [each.strip("[]") if isinstance(each, str) else each for each in given]
    try:
        values = tuple(parse_value(info.annotation, each, key, info.constraints) for each in texts)
    except UsageError as error:
        raise UsageError(f"The scale {scale} of {key} does not fit: {error}") from error
    return scale._replace(values=values) if scale.values else Scale(scale.kind, *values)


def listed(options: Any) -> dict[str, Any]:
    """The values of an options instance that a record holds: all but unlisted options at their defaults."""
    known = options_of(type(options))
    values = dataclasses.asdict(options)
    return {
        key: value
        for key, value in values.items()
        if key not in known or not known[key].unlisted or value != known[key].default
    }


def resolve(
    options_class: type[OptionsT], layers: Iterable[Layer], *, prefix: str = ""
) -> tuple[OptionsT, dict[str, Value]]:
    """Merge layers, lowest first, into an options instance; also return every key with its value and origin.

    `prefix` (such as "stream.") is put before keys in messages and in the result. Raises `UsageError` for an unknown
    key (with a suggestion) or a value of the wrong type.
    """
    known = options_of(options_class)
    families = {info.nested: key for key, info in known.items() if info.nested is not None}
    values: dict[str, Any] = {key: info.default for key, info in known.items() if info.nested is None}
    found = {key: Value(value, DEFAULT) for key, value in values.items()}
    collected: dict[str, dict[str, Any]] = {key: {} for key in families.values()}
    for origin, mapping in layers:
        for key, value in mapping.items():
            family, _, rest = key.partition(".")
            if rest and family in families:
                collected[families[family]][rest] = value
                found[key] = Value(value, origin)
                continue
            info = known.get(key)
            if info is None or info.nested is not None:
                raise UsageError(unknown_key(prefix + key, [prefix + name for name in values], origin))
            try:
                values[key] = parse_value(info.annotation, value, prefix + key, info.constraints)
            except UsageError as error:
                raise UsageError(f"{str(error).removesuffix('.')}{_set_by(origin)}.") from error
            found[key] = Value(values[key], origin)
    try:
        instance = options_class(**values, **collected)
    except ValueError as error:  # raised by a check across options in __post_init__
        raise UsageError(str(error)) from error
    silent = {key for key, info in known.items() if info.unlisted and values.get(key) == info.default}
    return instance, {prefix + key: value for key, value in found.items() if key not in silent}


def unknown_key(key: str, known: list[str], origin: str) -> str:
    """The sentence for a key that does not exist."""
    hint = did_you_mean(key, known) or f" Known: {', '.join(known) or 'none'}."
    return f"There is no option '{key}' (set by {_NAMES.get(origin, origin)}).{hint}"


def _set_by(origin: str) -> str:
    """The file, preset or variable that holds a wrong value; empty for the command line, which names its options."""
    return (
        f" (set by {_NAMES.get(origin, origin)})"
        if origin.startswith(("file ", "tuned ", "preset", ENVIRONMENT))
        else ""
    )


def split_keys(
    mapping: Mapping[str, Any], sections: Sequence[str] = ("stream", "backbone")
) -> dict[str, dict[str, Any]]:
    """Sort dotted keys into sections; keys of the strategy, which have no section, are under ''."""
    parts: dict[str, dict[str, Any]] = {"": {}, **{section: {} for section in sections}}
    for key, value in mapping.items():
        section, _, rest = key.partition(".")
        if rest and section in sections:
            parts[section][rest] = value
        else:
            parts[""][key] = value
    return parts


def flatten(mapping: Mapping[str, Any], prefix: str = "", *, place: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys.

    Raises `UsageError`, which begins with `place`, for a key that is set twice and for tables that are nested deeply.
    """
    if prefix.count(".") > _DEEPEST:
        raise UsageError(f"{place}{shortened(prefix)} is nested too deeply; options have no such key.")
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        inner = flatten(value, f"{prefix}{key}.", place=place) if isinstance(value, Mapping) else {prefix + key: value}
        if twice := flat.keys() & inner.keys():
            raise UsageError(f"{place}{min(twice)} is set twice; keep one of the two.")
        flat.update(inner)
    return flat


def parse_assignments(texts: Iterable[str], *, where: str = "--set", example: str = "--set lr=0.01") -> dict[str, str]:
    """`key=value` texts as a mapping; raises `UsageError` for a text without '=' and for a key that is given twice."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"{where} takes KEY=VALUE, such as {example}, not {shortened(text)}.")
        name, chosen = key.strip(), value.strip()
        if name in found:
            raise UsageError(
                f"{where} gives {name} twice ({shortened(found[name])}, then {shortened(chosen)}); give it once. "
                "clbench sweep takes several values."
            )
        found[name] = chosen
    return found


def assignments_of_environment() -> dict[str, str]:
    """The values of CLBENCH_SET; raises `UsageError`, which names the variable, if it cannot be read."""
    text = os.environ.get(VARIABLE, "")
    try:
        words = shlex.split(text)
    except ValueError as error:  # an open quote, or a backslash at the end
        problem = str(error).lower()
        raise UsageError(f"{VARIABLE} cannot be read ({problem}); write it as 'lr=0.01 stream.tasks=5'.") from error
    return parse_assignments(words, where=VARIABLE, example="lr=0.01")


def jsonable(value: Any) -> Any:
    """An option's value as JSON: tuples become lists, everything else is a scalar already."""
    if isinstance(value, tuple | list):
        return [jsonable(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    return value
