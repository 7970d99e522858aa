"""TOML files as dataclasses: types, unknown keys and missing keys are checked in one place.

A format is a dataclass whose fields are its keys. Fields may have any type that an option may have, and
`tuple[Record, ...]` for an array of tables, `Mapping[str, Record]` for tables by name, `Record` for one table, or
`Mapping[str, Any]` for a free table. Streams, presets, published numbers, shipped configurations and config files are
read this way.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from cl.errors import UsageError, did_you_mean
from cl.values import parse_value, shortened

T = TypeVar("T")


def read_toml(path: Path) -> dict[str, Any]:
    """Parse a TOML file; raises `UsageError` with the file and the line of a syntax error, or if it cannot be read."""
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))  # editors on Windows may write a byte order mark
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text; save it as UTF-8.") from error
    except RecursionError as error:
        raise UsageError(f"{path} is not valid TOML: it is nested too deeply.") from error
    except ValueError as error:  # syntax, or an integer of thousands of digits
        problem = str(error).partition("; use sys.set_int")[0]
        raise UsageError(f"{path} is not valid TOML: {problem}.") from error


def read_record(path: Path, kind: type[T], **given: Any) -> T:
    """Read a TOML file into the dataclass `kind`; `given` are fields that are not keys of the file.

    Raises `UsageError` with one sentence that names the file and the place in it.
    """
    return record(kind, read_toml(path), str(path), **given)


def record(kind: type[T], table: Mapping[str, Any], place: str, **given: Any) -> T:
    """The dataclass `kind` from a table; `place` names the table in errors, `given` are fields that are not its keys.

    Raises `UsageError` for an unknown or missing key, or a value of the wrong type.
    """
    types, fields = get_type_hints(kind), {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    known = [name for name in fields if name not in given]
    refuse_unknown(table, known, place)
    for name in known:
        if name not in table and not _has_default(fields[name]):
            raise UsageError(f"{place} lacks '{name}'; add it.")
    return kind(**{key: _value(types[key], value, place, key) for key, value in table.items()}, **given)


def records(kind: type[T], tables: Mapping[str, Any], place: str, named: str) -> dict[str, T]:
    """The dataclass `kind` from each table of `tables`; its field `named` is the table's name."""
    places = {name: f"{place}, {name}" for name in tables}
    return {n: record(kind, _table(each, places[n]), places[n], **{named: n}) for n, each in tables.items()}


def refuse_unknown(keys: Iterable[str], known: Iterable[str], place: str) -> None:
    """Raise `UsageError` for a key that is not among `known`, with the nearest known one."""
    known = list(known)
    for key in keys:
        if key not in known:
            hint = did_you_mean(key, known) or f" Known: {', '.join(known) or 'none'}."
            raise UsageError(f"{place}: unknown key '{key}'.{hint}")


def _has_default(field: dataclasses.Field[Any]) -> bool:
    return field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING


def _value(annotation: Any, value: Any, place: str, key: str) -> Any:
    """A value of a key as `annotation`, where tables become dataclasses or mappings."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if dataclasses.is_dataclass(annotation):
        return record(annotation, _table(value, f"{place}: {key}"), f"{place}, {key}")  # type: ignore[arg-type]
    if origin is collections.abc.Mapping:
        tables = _table(value, f"{place}: {key}")
        return {name: _value(arguments[1], each, f"{place}, {key}", name) for name, each in tables.items()}
    if origin is tuple and _is_table(arguments[0]):
        if not isinstance(value, list):
            raise UsageError(f"{place}: {key} must be an array of tables, [[{key}]].")
        return tuple(_value(arguments[0], each, place, _label(key, n, each)) for n, each in enumerate(value, 1))
    return parse_value(annotation, value, f"{place}: {key}", grid="")


def _is_table(annotation: Any) -> bool:
    return dataclasses.is_dataclass(annotation) or get_origin(annotation) is collections.abc.Mapping


def _label(key: str, number: int, table: Any) -> str:
    """The name of an item of an array of tables in errors: `dataset 2 (mnist)`."""
    name = table.get("name") if isinstance(table, Mapping) else None
    return f"{key.removesuffix('s')} {number}" + (f" ({name})" if isinstance(name, str) else "")


def _table(value: Any, place: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise UsageError(f"{place} must be a table, not {shortened(value)}.")
    return value
