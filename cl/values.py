"""Values of options and of TOML keys: their types, bounds and texts.

Text, TOML values and NumPy scalars become the type that is declared, or one sentence says what is accepted.
"""

from __future__ import annotations

import math
import os
import reprlib
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from cl.errors import ContractError, UsageError

_LARGEST = 2**63 - 1
_LONGEST_NAME, _LONGEST_PATH = 255, 4000
"""Bytes of a part of a path and of a path that file systems accept."""


def shortened(value: Any) -> str:
    """The `repr` of a value for an error message: no more than a line of it."""
    how = reprlib.Repr()
    how.maxstring = how.maxother = 100
    how.maxlong, how.maxtuple, how.maxlist = 40, 20, 20
    try:
        return how.repr(value)
    except ValueError:  # an integer with more digits than Python converts to text
        return f"an integer of {value.bit_length()} bits"


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


_GRID = "; a run takes one value, and `clbench run` makes a grid of several"


def parse_value(
    annotation: Any, value: Any, key: str, constraints: Mapping[str, Any] | None = None, *, grid: str = _GRID
) -> Any:
    """Convert text, a TOML value or a NumPy scalar to the type `annotation`.

    Numbers are finite, unless the constraints hold `infinite`, and integers fit 64 bits.

    Raises `UsageError` naming the key and what it accepts; `grid` is added if a list is given for a single value.
    """
    constraints = constraints or {}
    try:
        parsed = _parse(annotation, value)
        if annotation is not Any and not constraints.get("infinite"):
            _refuse_infinite(parsed)
    except ValueError as error:
        detail = f" ({error})" if str(error) else ""
        if isinstance(value, list | tuple) and get_origin(annotation) is not tuple:
            detail = grid
        raise UsageError(f"{key} must be {_expected(annotation)}, not {shortened(value)}{detail}.") from None
    for element in parsed if isinstance(parsed, tuple) else (parsed,):
        problem = _violated(element, constraints)
        if problem:
            raise UsageError(f"{key} must be {problem}, not {shortened(value)}.")
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
        if arguments[-1:] == (Ellipsis,):
            return f"a list of {_several(arguments[0])}"
        return f"{len(arguments)} comma-separated values, each {_expected(arguments[0])}"
    return _WORDS.get(annotation, describe(annotation))


_PLURALS: dict[Any, str] = {int: "whole numbers", float: "numbers", bool: "true or false", str: "text", Path: "paths"}


def _several(annotation: Any) -> str:
    """What a list of an annotation holds: whole numbers, lists of numbers, text or whole numbers."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(_several(argument) for argument in arguments)
    if origin is tuple and arguments[-1:] == (Ellipsis,):
        return f"lists of {_several(arguments[0])}"
    return _PLURALS.get(annotation) or _expected(annotation)


def _parse(annotation: Any, value: Any) -> Any:
    """Convert `value`; raises ValueError, with or without a detail, if it does not fit `annotation`."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) in (0, 1):
        value = value.tolist()  # a scalar becomes a number, and an array a list
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
            return _text(value)
        raise ValueError
    if annotation is Path:
        if isinstance(value, str | os.PathLike):
            return _path(os.fspath(value))
        raise ValueError
    raise ContractError(
        f"options of type {describe(annotation)} are not supported; use int, float, bool, str or a tuple."
    )


def _number(value: int | float | str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError("it is too large") from None
    except ValueError:
        raise ValueError from None  # Python's own message does not help the user


def _refuse_infinite(value: Any) -> None:
    """Raise `ValueError` for an infinite number, which no record can hold."""
    for each in value if isinstance(value, tuple) else (value,):
        if isinstance(each, float) and math.isinf(each):
            raise ValueError("it must be finite")


def _text(value: str) -> str:
    """Text that a file can hold; raises `ValueError` for a NUL and for bytes that are no Unicode."""
    if "\0" in value:
        raise ValueError("it holds a NUL")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("it is not valid Unicode; rename the file or folder") from None
    return value


def _path(value: Any) -> Path:
    """A path that can exist, with ~ expanded; raises `ValueError` for any other."""
    text = _text(os.fsdecode(value))
    if not text:
        raise ValueError("it is empty")
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        raise ValueError("there is no such user") from None
    if len(os.fsencode(path)) > _LONGEST_PATH or any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        raise ValueError("it is too long for a path")
    return path


def _parse_int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError
    try:
        number = int(value) if isinstance(value, int | str) else _whole(value)
    except ValueError:
        number = _whole(_number(value))
    if abs(number) > _LARGEST:
        raise ValueError("it is too large")
    return number


def _whole(number: float) -> int:
    if math.isinf(number):
        raise ValueError("it is too large")
    if not number.is_integer():
        raise ValueError
    return int(number)


def _parse_union(members: tuple[Any, ...], value: Any) -> Any:
    if type(value) in members and not isinstance(value, str):  # 1.0 stays a share; 1 would be a count
        return _parse(type(value), value)
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
        if name == "infinite":
            continue
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
        if name != "infinite"
    )
