"""Options as dataclasses whose values keep their origin.

Precedence, lowest first: default < preset < config file < environment < command line. Keys: `lr` belongs to the
strategy, `stream.tasks` to the stream, `backbone.normalize` to the backbone, `base.lr` to the base of a wrapper.
"""

from __future__ import annotations

import dataclasses
import math
import os
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from cl.errors import ContractError, UsageError, did_you_mean

T = TypeVar("T")
OptionsT = TypeVar("OptionsT")

DEFAULT = "default"
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
    unlisted: bool = False,
    env: str = "",
) -> T:
    """A field of an options dataclass: its default, its help text and the values it accepts.

    Bounds and choices apply to every element of a tuple; None always passes if the annotation allows it. `unlisted`:
    recorded only when changed, so that hashes of older records stay valid. `env`: name of an environment variable,
    which only `cl.plan.run_options` reads.
    """
    constraints: dict[str, Any] = {"ge": ge, "gt": gt, "le": le, "lt": lt}
    constraints = {name: bound for name, bound in constraints.items() if bound is not None}
    if choices is not None:
        constraints["choices"] = tuple(choices)
    metadata = {"help": help, "constraints": constraints, "unlisted": unlisted, "env": env}
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

    @property
    def type_name(self) -> str:
        return describe(self.annotation)


def describe(annotation: Any) -> str:
    """A short name of an annotation for help texts: `int`, `tuple[float, ...]`, `int or none`."""
    if annotation is type(None):
        return "none"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(argument) for argument in arguments)
    if origin is Literal:
        return " or ".join(repr(argument) for argument in arguments)
    if origin is None:
        return getattr(annotation, "__name__", str(annotation))
    return str(annotation)


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
        )
    return found


def listed(options: Any) -> dict[str, Any]:
    """The values of an options instance that a record holds: all but unlisted options at their defaults."""
    known = options_of(type(options))
    values = dataclasses.asdict(options)
    return {
        key: value
        for key, value in values.items()
        if key not in known or not known[key].unlisted or value != known[key].default
    }


_GRID = "; a run takes one value, and `clbench run` makes a grid of several"


def parse_value(
    annotation: Any, value: Any, key: str, constraints: Mapping[str, Any] | None = None, *, grid: str = _GRID
) -> Any:
    """Convert text or a TOML value to the type `annotation`.

    Raises `UsageError` naming the key and what it accepts; `grid` is added if a list is given for a single value.
    """
    try:
        parsed = _parse(annotation, value)
    except ValueError as error:
        detail = f" ({error})" if str(error) else ""
        if isinstance(value, list | tuple) and get_origin(annotation) is not tuple:
            detail = grid
        raise UsageError(f"{key} must be {_expected(annotation)}, not {value!r}{detail}.") from None
    for element in parsed if isinstance(parsed, tuple) else (parsed,):
        problem = _violated(element, constraints or {})
        if problem:
            raise UsageError(f"{key} must be {problem}, not {value!r}.")
    return parsed


_WORDS: dict[type, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_WORDS |= {Path: "a path", type(None): "none"}
_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _expected(annotation: Any) -> str:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_expected(argument) for argument in arguments)
    if origin is Literal:
        return "one of " + ", ".join(str(argument) for argument in arguments)
    if origin is tuple:
        many = "a list of" if arguments[-1:] == (Ellipsis,) else f"{len(arguments)} comma-separated values, each"
        return f"{many} {_expected(arguments[0])}"
    return _WORDS.get(annotation, describe(annotation))


def _parse(annotation: Any, value: Any) -> Any:
    """Convert `value`; raises ValueError, with or without a detail, if it does not fit `annotation`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return value
    if origin in (Union, types.UnionType):
        return _parse_union(arguments, value)
    if origin is Literal:
        for choice in arguments:
            if value == choice or (isinstance(value, str) and value == str(choice)):
                return choice
        raise ValueError
    if origin is tuple:
        return _parse_tuple(arguments, value)
    if annotation is type(None):
        if value is None or (isinstance(value, str) and value.strip().lower() in ("none", "null")):
            return None
        raise ValueError
    if annotation is bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.strip().lower() in _BOOLEANS:
            return _BOOLEANS[value.strip().lower()]
        raise ValueError
    if annotation is int:
        return _parse_int(value)
    if annotation is float:
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError
        number = _number(value)
        if math.isnan(number):
            raise ValueError
        return number
    if annotation is str:
        if isinstance(value, str):
            return value
        raise ValueError
    if annotation is Path:
        if isinstance(value, str | os.PathLike):
            return Path(value)
        raise ValueError
    raise ContractError(
        f"options of type {describe(annotation)} are not supported; use int, float, bool, str or a tuple."
    )


def _number(value: int | float | str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError from None  # Python's own message does not help the user


def _parse_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    try:
        return int(value) if isinstance(value, int | str) else _whole(value)
    except ValueError:
        return _whole(_number(value))


def _whole(number: float) -> int:
    if not number.is_integer():
        raise ValueError
    return int(number)


def _parse_union(members: tuple[Any, ...], value: Any) -> Any:
    if type(value) in members and not isinstance(value, str):  # 1.0 stays a share; 1 would be a count
        return value
    # None first, then the order written down: "none" is never text when None is allowed.
    for member in sorted(members, key=lambda member: member is not type(None)):
        if member is int and float in members and isinstance(value, str) and not value.strip().lstrip("+-").isdecimal():
            continue
        try:
            return _parse(member, value)
        except ValueError:
            continue
    raise ValueError


def _parse_tuple(arguments: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    if isinstance(value, str):
        text = value.strip().removeprefix("(").removesuffix(")").removeprefix("[").removesuffix("]")
        items: list[Any] = [item.strip() for item in text.split(",") if item.strip()]
    elif isinstance(value, list | tuple):
        items = list(value)
    else:
        items = [value]
    if arguments[-1:] == (Ellipsis,):
        return tuple(_parse(arguments[0], item) for item in items)
    if len(items) != len(arguments):
        raise ValueError(f"{len(items)} values")
    return tuple(_parse(argument, item) for argument, item in zip(arguments, items, strict=True))


def _violated(value: Any, constraints: Mapping[str, Any]) -> str | None:
    """The constraint that `value` violates, in words; None if it violates none."""
    if value is None:
        return None
    tests = {
        "ge": ("at least", lambda bound: value >= bound),
        "gt": ("above", lambda bound: value > bound),
        "le": ("at most", lambda bound: value <= bound),
        "lt": ("below", lambda bound: value < bound),
    }
    # A string in a union with numbers (`int | Literal["auto"]`) has no size.
    numeric = isinstance(value, int | float)
    for name, bound in constraints.items():
        if name == "choices":
            if value not in bound:
                return "one of " + ", ".join(str(choice) for choice in bound)
        elif numeric and not tests[name][1](bound):
            return f"{tests[name][0]} {bound}"
    return None


def describe_constraints(constraints: Mapping[str, Any]) -> str:
    """Constraints in words for help texts: `at least 0, below 1`, `one of a, b`."""
    words = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below", "choices": "one of"}
    return ", ".join(
        f"{words[name]} {' | '.join(map(str, bound)) if name == 'choices' else bound}"
        for name, bound in constraints.items()
    )


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
            values[key] = parse_value(info.annotation, value, prefix + key, info.constraints)
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
    return f"There is no option '{key}' (set by {origin}).{hint}"


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


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested tables as dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in mapping.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def parse_assignments(texts: Iterable[str]) -> dict[str, str]:
    """`key=value` texts as a mapping, the last one winning; raises `UsageError` for a text without '='."""
    found: dict[str, str] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise UsageError(f"--set takes KEY=VALUE, such as --set lr=0.01, not '{text}'.")
        found[key.strip()] = value.strip()
    return found


def jsonable(value: Any) -> Any:
    """An option's value as JSON: tuples become lists, everything else is a scalar already."""
    if isinstance(value, tuple | list):
        return [jsonable(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    return value
