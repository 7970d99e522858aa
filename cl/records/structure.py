"""The JSON Schema of a record, and a check that is fast enough for every record that is read.

`jsonschema` takes 20 times as long as reading the file, so it is only asked what is wrong with a record that this check
refuses.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from itertools import chain
from typing import Any

from cl.records.class_table import DENSE, RUNS, fault_of_runs
from cl.records.matrix import class_counts_of, counts_of

Check = Callable[[Any], bool]

_TYPES: dict[str, frozenset[type]] = {
    "null": frozenset({type(None)}),
    "boolean": frozenset({bool}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "string": frozenset({str}),
    "array": frozenset({list}),
    "object": frozenset({dict}),
}
_KNOWN = {
    *("$ref", "type", "enum", "minimum", "maximum", "pattern", "properties", "required", "additionalProperties"),
    *("items", "description"),
}
_LIST = frozenset({list})
_ROW = {"type": "array", "items": {"type": ["integer", "null"], "minimum": 0}}
"""A row of a table of accuracies in the schema."""
_COUNTS = b"[],0123456789nul"
"""The characters of a table of counts: lists, numbers from 0, and null."""


_AT_MOST: Callable[[Any, Any], bool] = operator.le


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a record."""
    text = resources.files("cl.records").joinpath("record.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found


def canonical(value: Any) -> bytes:
    """Canonical JSON: sorted keys, no spaces, ASCII. Raises `ValueError` for NaN or infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def conforms(record: Any, result: bytes) -> bool:
    """Whether a record fits the schema and its tables have the right lengths; `result` is its canonical result.

    False also for a few valid records, such as one with a count of 1.0: `cl.records.record.validate` decides then.
    """
    try:
        fits = _check_of_records()(record)
        return fits and _are_counts(record["result"], result) and _tables_agree(record["result"])
    except TypeError:  # a table inside a row of a table
        return False


@cache
def _check_of_records() -> Check:
    top = {key: value for key, value in schema().items() if key not in ("$schema", "$id", "$defs", "title")}
    found = _check(top)
    assert found is not None
    return found


def _check(node: Mapping[str, Any]) -> Check | None:
    """A function that checks a value against a node of the schema; None if the node allows everything."""
    if "$ref" in node:
        return _check(schema()["$defs"][node["$ref"].rpartition("/")[2]])
    if unknown := node.keys() - _KNOWN:
        raise NotImplementedError(f"the fast check of records does not know {sorted(unknown)}")
    if "enum" in node:
        known = tuple(node["enum"])
        return lambda value: value in known
    types = _types(node)
    if types is None:
        return None
    if types == {dict}:
        return _check_of_objects(node)
    if list in types:
        return _check_of_lists(node.get("items", {}))
    return _check_of_scalars(node, types)


def _types(node: Mapping[str, Any]) -> frozenset[type] | None:
    names = node.get("type")
    if names is None:
        return None
    return frozenset(chain.from_iterable(_TYPES[name] for name in ([names] if isinstance(names, str) else names)))


def _limits(node: Mapping[str, Any]) -> tuple[float, float]:
    return node.get("minimum", float("-inf")), node.get("maximum", float("inf"))


def _check_of_scalars(node: Mapping[str, Any], types: frozenset[type]) -> Check:
    if "pattern" in node:
        search = re.compile(node["pattern"]).search
        return lambda value: type(value) in types and (value is None or search(value) is not None)
    if "minimum" in node or "maximum" in node:
        low, high = _limits(node)
        return lambda value: type(value) in types and (value is None or low <= value <= high)
    return lambda value: type(value) in types


def _check_of_lists(items: Mapping[str, Any]) -> Check:
    types = _types(items)
    if items == _ROW:  # a table of accuracies, checked by `_are_counts`
        return lambda values: type(values) is list and _LIST.issuperset(map(type, values))
    if types is not None and not types & {dict, list}:  # the long lists: no Python code per element
        low, high = _limits(items)
        limited = "minimum" in items or "maximum" in items
        if limited and type(None) in types:
            return lambda values: (
                type(values) is list
                and types.issuperset(map(type, values))
                and all(value is None or low <= value <= high for value in values)
            )
        return lambda values: (
            type(values) is list
            and types.issuperset(map(type, values))
            and (not limited or not values or (low <= min(values) and max(values) <= high))
        )
    inner = _check(items)
    if inner is None:
        return lambda values: type(values) is list
    return lambda values: type(values) is list and all(map(inner, values))


def _check_of_objects(node: Mapping[str, Any]) -> Check:
    properties, more = node.get("properties", {}), node.get("additionalProperties", True)
    required, known, closed = frozenset(node.get("required", ())), frozenset(properties), more is False
    plain = {key: types for key, each in properties.items() if (types := _plain(each)) is not None}
    found = {key: _check(each) for key, each in properties.items() if key not in plain}
    checks = [(key, check) for key, check in found.items() if check is not None]
    simple, rest = list(plain.items()), _check(more) if isinstance(more, dict) else None

    def check(value: Any) -> bool:
        if type(value) is not dict or not required <= value.keys() or (closed and not value.keys() <= known):
            return False
        for key, types in simple:
            if key in value and type(value[key]) not in types:
                return False
        for key, inner in checks:
            if key in value and not inner(value[key]):
                return False
        if rest is None:
            return True
        others = value.values() if not known else [each for key, each in value.items() if key not in known]
        return all(map(rest, others))

    return check


def _plain(node: Mapping[str, Any]) -> frozenset[type] | None:
    """The types that a node allows, if they are all that it asks for."""
    types = _types(node)
    return (
        types if types is not None and not types & {dict, list} and not node.keys() - {"type", "description"} else None
    )


def _are_counts(result: Mapping[str, Any], text: bytes) -> bool:
    """Whether the tables of `result.accuracy` hold numbers from 0 and null, by the characters of their JSON.

    Tables of runs, which are short, are checked by the schema.
    """
    begin = text[: text.index(b'},"backbone":')]  # accuracy is the first key; a quote in a string is escaped
    empty = {
        rule: {key: table if key == RUNS else () for key, table in tables.items()}
        for rule, tables in result["accuracy"].items()
    }
    expected = canonical({"accuracy": empty})[:-2]
    return begin.translate(None, _COUNTS) == expected.translate(None, _COUNTS)


def _tables_agree(result: Mapping[str, Any]) -> bool:
    """Whether the tables fit the numbers of groups, classes and rows, and right answers per group those of images."""
    stream, rows, splits = result["stream"], result["rows"], result.get("split_count", {})
    groups, number = len(stream["groups"]), stream["n_classes"]
    if len(stream["class_order"]) != number or len(stream["class_names"]) != number:
        return False
    if max(chain.from_iterable(group["classes"] for group in stream["groups"]), default=-1) >= number:
        return False
    if len(result["count"]) != groups or any(len(count) != groups for count in splits.values()):
        return False
    if any(row["split"] != "test" and row["split"] not in splits for row in rows):
        return False
    counts = [counts_of(result, row["split"]) for row in rows]
    classes = [class_counts_of(result, row["split"]) for row in rows]
    sizes = [len(each) for each in classes if each is not None]
    for tables in result["accuracy"].values():
        correct, by_class, runs = tables["correct"], tables.get(DENSE), tables.get(RUNS)
        if len(correct) != len(counts) or not all(map(_row_fits, correct, counts)):
            return False
        if by_class is not None and len(sizes) == len(rows) and list(map(len, by_class)) != sizes:
            return False
        if runs is not None and (by_class is not None or not _runs_fit(runs, classes)):
            return False
    for rule, told in result.get("mean_precision", {}).items():
        if rule not in result["accuracy"] or len(told) != len(rows) or any(len(row) != groups for row in told):
            return False
    probe = result.get("probe", {"rows": [], "test": 0})
    if any(max(row["ridge"], row["nearest_mean"]) > probe["test"] for row in probe["rows"]):
        return False
    return result["metrics"].keys() <= result["accuracy"].keys()


def _row_fits(row: list[int | None], count: list[int]) -> bool:
    if None in row:
        row = [0 if value is None else value for value in row]
    return len(row) == len(count) and all(map(_AT_MOST, row, count))


def _runs_fit(runs: list[dict[str, list[int]]], classes: list[list[int] | None]) -> bool:
    fits = zip(runs, classes, strict=False)
    return len(runs) == len(classes) and not any(count is None or fault_of_runs(row, count) for row, count in fits)
