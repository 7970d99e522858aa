from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pytest

from cl.errors import ContractError, UsageError
from cl.options import (
    Layer,
    Value,
    assignments_of_environment,
    flatten,
    nested,
    option,
    options_of,
    parse_assignments,
    resolve,
    split_keys,
)
from cl.values import describe, describe_constraints, parse_value


@dataclass(frozen=True)
class Options:
    epochs: int = option(20, "epochs per task", ge=1)
    lr: float = option(0.01, "learning rate", gt=0, lt=10)
    milestones: tuple[int, ...] = option((18,), "epochs", ge=0)
    loss: str = option("local", "which", choices=("local", "global"))
    decay: float | None = option(None, "none for none", ge=0)
    flip: bool = option(True, "flip")


@pytest.mark.parametrize(
    ("annotation", "given", "expected"),
    [
        (int, "20", 20),
        (int, "1e3", 1000),
        (int, 5.0, 5),
        (float, "1e-3", 1e-3),
        (float, 2, 2.0),
        (bool, "no", False),
        (bool, "On", True),
        (bool, True, True),
        (str, "none", "none"),
        (str | None, "none", None),
        (int | None, "7", 7),
        (int | float | None, "1", 1),
        (int | float | None, "1.0", 1.0),
        (int | float | None, 1.0, 1.0),
        (int | float | None, "none", None),
        (tuple[int, ...], "1,2, 3", (1, 2, 3)),
        (tuple[int, ...], "[4]", (4,)),
        (tuple[int, ...], "", ()),
        (tuple[int, ...], [1, 2], (1, 2)),
        (tuple[float, float], "0.5,2", (0.5, 2.0)),
        (Literal["a", 3], "3", 3),
    ],
)
def test_values_are_read_by_annotation(annotation: Any, given: Any, expected: Any) -> None:
    value = parse_value(annotation, given, "key")
    assert value == expected
    assert type(value) is type(expected)


@pytest.mark.parametrize(
    ("annotation", "given", "says"),
    [
        (int, "2.5", "key must be a whole number, not '2.5'."),
        (int, True, "key must be a whole number"),
        (float, "fast", "key must be a number, not 'fast'."),
        (float, "nan", "key must be a number"),
        (bool, "maybe", "key must be true or false"),
        (str, 3, "key must be text"),
        (int | None, "x", "key must be a whole number or none"),
        (tuple[float, float], "1,2,3", "key must be 2 comma-separated values, each a number, not '1,2,3' (3 values)."),
        (Literal["a", "b"], "c", "key must be one of a, b"),
    ],
)
def test_wrong_values_are_usage_errors(annotation: Any, given: Any, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_value(annotation, given, "key")
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0."),
        ({"lr": "0"}, "lr must be above 0, not '0'."),
        ({"lr": 10}, "lr must be below 10, not 10."),
        ({"loss": "both"}, "loss must be one of local, global, not 'both'."),
        ({"milestones": "3,-1"}, "milestones must be at least 0"),
        ({"decay": -1}, "decay must be at least 0"),
    ],
)
def test_constraints_hold(setting: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=r"must be") as caught:
        resolve(Options, [("command line", setting)])
    assert says in str(caught.value)


def test_later_layers_win_and_every_value_knows_its_origin() -> None:
    layers: list[Layer] = [("preset", {"lr": 0.1, "epochs": 5}), ("file", {"lr": "0.2"})]
    layers.append(("command line", {"milestones": "2,4"}))
    options, values = resolve(Options, layers, prefix="x.")
    assert (options.lr, options.epochs, options.milestones, options.flip) == (0.2, 5, (2, 4), True)
    assert values["x.lr"] == Value(0.2, "file")
    assert values["x.epochs"] == Value(5, "preset")
    assert values["x.milestones"] == Value((2, 4), "command line")
    assert values["x.loss"] == Value("local", "default")


def test_unknown_keys_say_what_was_meant_and_where_they_came_from() -> None:
    meant = r"There is no option 'stream\.epoch' \(set by file\)\. Did you mean stream\.epochs"
    with pytest.raises(UsageError, match=meant):
        resolve(Options, [("file", {"epoch": 3})], prefix="stream.")
    with pytest.raises(UsageError, match=r"Known: epochs, lr, milestones"):
        resolve(Options, [("file", {"zzz": 3})])


@dataclass(frozen=True)
class Wrapper:
    base: str = option("slca", "strategy to wrap")
    base_options: Mapping[str, Any] = nested("base", "its options")


def test_nested_keys_pass_through() -> None:
    options, values = resolve(Wrapper, [("a", {"base.lr": "1", "base.base.x": "2"}), ("b", {"base.lr": "3"})])
    assert options.base_options == {"lr": "3", "base.x": "2"}
    assert values["base.lr"] == Value("3", "b")
    with pytest.raises(UsageError, match="no option 'base_options'"):
        resolve(Wrapper, [("a", {"base_options": {}})])


def test_options_describe_themselves() -> None:
    known = options_of(Options)
    assert list(known) == ["epochs", "lr", "milestones", "loss", "decay", "flip"]
    assert describe(known["decay"].annotation) == "float or none"
    assert describe(known["milestones"].annotation) == "tuple[int, ...]"
    assert describe_constraints(known["lr"].constraints) == "above 0, below 10"
    assert describe_constraints(known["loss"].constraints) == "one of local | global"


def test_options_without_default_or_with_a_mutable_one_break_the_contract() -> None:
    @dataclass
    class Required:
        lr: float

    with pytest.raises(ContractError, match=r"lr needs a default"):
        options_of(Required)
    with pytest.raises(ContractError, match="use a tuple"):
        option([1], "a list")


def test_keys_are_sorted_flattened_and_read_from_text() -> None:
    assert flatten({"lr": 1, "stream": {"tasks": 5}}) == {"lr": 1, "stream.tasks": 5}
    assert split_keys({"lr": 1, "stream.tasks": 5, "base.stream": 2}) == {
        "": {"lr": 1, "base.stream": 2},
        "stream": {"tasks": 5},
        "backbone": {},
    }
    assert parse_assignments(["lr = 2", "a.b=c=d"]) == {"lr": "2", "a.b": "c=d"}
    with pytest.raises(UsageError, match=r"--set gives lr twice \('1', then '2'\); give it once"):
        parse_assignments(["lr=1", "lr = 2"])
    with pytest.raises(UsageError, match="--set takes KEY=VALUE"):
        parse_assignments(["lr"])


def test_a_key_that_is_set_twice_or_nested_deeply_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a.toml: stream.tasks is set twice; keep one of the two\."):
        flatten({"stream.tasks": 2, "stream": {"tasks": 3}}, place="a.toml: ")
    assert flatten({"base": "slca", "base.lr": 1}) == {"base": "slca", "base.lr": 1}
    deep: dict[str, Any] = {"a": 1}
    for _ in range(3000):
        deep = {"a": deep}
    with pytest.raises(UsageError, match=r"a.toml: 'a.a.*' is nested too deeply") as caught:
        flatten(deep, place="a.toml: ")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lr='0.1", r"CLBENCH_SET cannot be read \(no closing quotation\); write it as 'lr=0.01 stream.tasks=5'\."),
        ("lr=1\\", r"CLBENCH_SET cannot be read \(no escaped character\)"),
        ("lr", "CLBENCH_SET takes KEY=VALUE, such as lr=0.01, not 'lr'"),
        ("=1", "CLBENCH_SET takes KEY=VALUE"),
    ],
)
def test_a_broken_variable_is_named(text: str, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_SET", text)
    with pytest.raises(UsageError, match=says):
        assignments_of_environment()
    monkeypatch.setenv("CLBENCH_SET", "lr='0.1' name='a b'")
    assert assignments_of_environment() == {"lr": "0.1", "name": "a b"}


def test_wrong_values_name_their_file_and_variable() -> None:
    @dataclass(frozen=True)
    class Options:
        lr: float = option(0.1, "rate")

    for origin, said in (
        ("file a.toml", " (set by file a.toml)"),
        ("environment", " (set by CLBENCH_SET)"),
        ("preset paper", " (set by preset paper)"),
        ("command line", ""),
    ):
        with pytest.raises(UsageError) as caught:
            resolve(Options, [(origin, {"lr": "x"})])
        assert str(caught.value) == f"lr must be a number, not 'x'{said}."
    with pytest.raises(UsageError, match=r"There is no option 'l' \(set by CLBENCH_SET\)"):
        resolve(Options, [("environment", {"l": "x"})])
