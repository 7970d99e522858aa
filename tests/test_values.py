"""Values of options: what is accepted as which type, and one sentence for everything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.errors import UsageError
from cl.values import describe_constraints, parse_value, shortened

LONG = {400: "9" * 400, 5000: "9" * 5000}


@pytest.mark.parametrize("digits", LONG)
@pytest.mark.parametrize("annotation", [int, float, int | None, float | None, int | float | None, tuple[int, ...]])
def test_numbers_with_too_many_digits_are_one_short_sentence(annotation: Any, digits: int) -> None:
    with pytest.raises(UsageError) as caught:
        parse_value(annotation, LONG[digits], "epochs")
    message = str(caught.value)
    assert message.startswith("epochs must be ") and len(message) < 300
    with pytest.raises(UsageError) as caught:
        parse_value(annotation, 10**digits, "epochs")
    assert len(str(caught.value)) < 300


def test_the_largest_whole_numbers() -> None:
    assert parse_value(int, 2**63 - 1, "seed") == parse_value(int, str(2**63 - 1), "seed") == 2**63 - 1
    for value in (2**63, str(2**63), -(2**63), 1e300, "1e300", float("inf")):
        with pytest.raises(UsageError, match=r"seed must be a whole number, not .*too large"):
            parse_value(int, value, "seed")


@pytest.mark.parametrize(
    "value", ["inf", "-inf", "1e999", "Infinity", float("inf"), np.float64("inf"), np.float32("inf")]
)
def test_infinity_is_refused_unless_declared(value: Any) -> None:
    for annotation in (float, float | None):
        with pytest.raises(UsageError, match=r"lr must be a number.*, not .*\(it must be finite\)\."):
            parse_value(annotation, value, "lr")
        assert abs(parse_value(annotation, value, "lr", {"infinite": True})) == float("inf")
    with pytest.raises(UsageError, match="it must be finite"):
        parse_value(tuple[float, ...], [0.5, value], "rates")
    assert describe_constraints({"ge": 0, "infinite": True}) == "at least 0"


@pytest.mark.parametrize("value", ["nan", float("nan"), np.float32("nan")])
def test_nan_is_never_a_number(value: Any) -> None:
    for annotation in (float, int | float | None, float | None):
        with pytest.raises(UsageError, match=r"lr must be a (whole number or a )?number"):
            parse_value(annotation, value, "lr", {"infinite": True})


def test_numpy_scalars_are_plain_numbers() -> None:
    cases: list[tuple[Any, Any, Any]] = [
        (int, np.int64(3), 3),
        (int, np.uint8(3), 3),
        (int, np.float64(3.0), 3),
        (float, np.float32(0.5), 0.5),
        (float, np.int32(2), 2.0),
        (bool, np.bool_(True), True),
        (str, np.str_("a"), "a"),
        (int | float | None, np.float32(1.0), 1.0),
        (tuple[int, ...], np.array([1, 2]), (1, 2)),
        (tuple[float, ...], [np.float32(0.5)], (0.5,)),
        (Any, np.int16(4), 4),
    ]
    for annotation, value, expected in cases:
        found = parse_value(annotation, value, "option")
        assert found == expected and type(found) is type(expected), (annotation, value)
        if isinstance(found, tuple):
            assert [type(each) for each in found] == [type(each) for each in expected]
    for annotation, value in (
        (int, np.float32(0.5)),
        (int, np.bool_(True)),
        (float, np.array([[1.0]])),
        (bool, np.int64(2)),
    ):
        with pytest.raises(UsageError, match="option must be"):
            parse_value(annotation, value, "option")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "it is empty"),
        ("a\0b", "it holds a NUL"),
        ("a\udcff", "it is not valid Unicode"),
        (b"a\xff", "it is not valid Unicode"),
        ("~no-such-user/x", "there is no such user"),
        ("x" * 256, "it is too long for a path"),
        ("é" * 128, "it is too long for a path"),
        ("/".join(["x" * 200] * 30), "it is too long for a path"),
    ],
)
def test_paths_that_cannot_be(value: Any, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_value(Path, value if isinstance(value, str) else _Bytes(value), "--results")
    assert str(caught.value).startswith("--results must be a path, not ") and f"({why}" in str(caught.value)
    str(caught.value).encode()


class _Bytes:
    """A path object of bytes."""

    def __init__(self, path: bytes) -> None:
        self.path = path

    def __fspath__(self) -> Any:
        return self.path


def test_a_path_begins_at_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert parse_value(Path, "~/results", "--results") == tmp_path / "results"


@pytest.mark.parametrize("value", ["a\0b", "a\udcff"])
def test_text_that_no_file_holds(value: str) -> None:
    with pytest.raises(UsageError, match="--stream must be text, not 'a"):
        parse_value(str, value, "--stream")


def test_values_in_messages_are_shortened() -> None:
    assert shortened("abc") == "'abc'" and shortened(0.1) == "0.1"
    assert len(shortened("x" * 5000)) < 120 and len(shortened(list(range(1000)))) < 120
    assert shortened(10**5000) == "an integer of 16610 bits"


@pytest.mark.parametrize(
    ("annotation", "words"),
    [
        (tuple[int, ...], "a list of whole numbers"),
        (tuple[float, ...], "a list of numbers"),
        (tuple[str, ...], "a list of text"),
        (tuple[tuple[int, ...], ...], "a list of lists of whole numbers"),
        (tuple[int | str, ...], "a list of whole numbers or text"),
        (tuple[int, int], "2 comma-separated values, each a whole number"),
        (int | tuple[int, ...], "a whole number or a list of whole numbers"),
    ],
)
def test_what_a_list_holds_is_said_in_the_plural(annotation: Any, words: str) -> None:
    with pytest.raises(UsageError, match=f"^sizes must be {words}, not "):
        parse_value(annotation, {"a": 1}, "sizes")
