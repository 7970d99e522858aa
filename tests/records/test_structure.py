"""The fast check of records: it accepts what `jsonschema` accepts, and nothing else."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from cl.errors import ContractError
from cl.records.record import result_sha256, validate
from cl.records.structure import canonical, conforms, schema

Make = Callable[..., dict[str, Any]]


def accepted(record: dict[str, Any]) -> bool:
    return conforms(record, canonical(record.get("result")))


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of every value in a record."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield from places(each, (*path, key))


def changed(record: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    fresh = copy.deepcopy(record)
    *parents, last = path
    section: Any = fresh
    for parent in parents:
        section = section[parent]
    section[last] = value
    return fresh


def test_valid_records_are_accepted(make_record: Make) -> None:
    assert accepted(make_record())
    assert accepted(
        make_record(result__accuracy={'a},"backbone":nul': {"correct": [[1, None, 0]] * 3}}, result__metrics={})
    )
    split = [{"event": n, "task": n, "split": "val"} for n in range(3)]
    assert accepted(make_record(result__rows=split, result__split_count={"val": [100] * 3}))


@pytest.mark.parametrize(
    "value", [None, True, 1.5, -1, 10**400, "text", [], [[]], {}, {"a": 1}, [None], ["a"]], ids=lambda v: repr(v)[:9]
)
def test_every_value_of_a_wrong_type_is_refused_as_by_the_schema(make_record: Make, value: Any) -> None:
    record = make_record()
    record["result"]["metrics"] = {"cil_seen": {"BWT": 0.5}}
    validator = Draft202012Validator(schema())
    for path in places(record):
        fresh = changed(record, path, value)
        if isinstance(fresh["result"], dict):
            fresh["result_sha256"] = result_sha256(fresh["result"]) if path[0] != "result_sha256" else value
        try:
            validate(fresh) if validator.is_valid(fresh) else None
            valid = validator.is_valid(fresh)
        except ContractError:
            valid = False
        if path == ("result_sha256",):  # the hash itself is compared by the caller
            continue
        assert accepted(fresh) == valid, path


def test_missing_and_unknown_keys_are_refused(make_record: Make) -> None:
    record = make_record()
    validator = Draft202012Validator(schema())
    for path in places(record):
        fresh = copy.deepcopy(record)
        section: Any = fresh
        for key in path[:-1]:
            section = section[key]
        if isinstance(section, dict):
            more = changed(record, (*path[:-1], "colour"), "red")
            assert not accepted(more) if not validator.is_valid(more) else accepted(more), path
            del section[path[-1]]
            if "result" in fresh and not validator.is_valid(fresh):
                assert not accepted(fresh), path


def test_tables_of_other_lengths_are_refused(make_record: Make) -> None:
    draw = random.Random(0)
    record = make_record(result__accuracy={"cil_seen": {"correct": [[1, 1, 1]] * 3, "class_correct": [[1] * 6] * 3}})
    record["result"]["metrics"] = {}
    assert accepted(record)
    for table in ("correct", "class_correct"):
        for row in range(3):
            short = [list(each) for each in record["result"]["accuracy"]["cil_seen"][table]]
            short[row].pop(draw.randrange(len(short[row])))
            assert not accepted(changed(record, ("result", "accuracy", "cil_seen", table), short))
        assert not accepted(changed(record, ("result", "accuracy", "cil_seen", table), [[1, 1, 1]] * 2))
