"""Search scales: their texts, what they hold, and which options accept them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from cl import scales
from cl.errors import ContractError, UsageError
from cl.options import fitting, option, options_of
from cl.scales import Scale, parse_scale


@dataclass(frozen=True)
class Options:
    lr: float = option(0.01, "rate", gt=0, search=scales.log(1e-3, 1e-1))
    epochs: int = option(1, "epochs", ge=1, search=scales.linear(1, 5))
    decay: float | None = option(None, "decay", ge=0, search=scales.among(None, 0.1))
    milestones: tuple[int, ...] = option((18,), "epochs")
    loss: str = option("local", "which", choices=("local", "global"))


@pytest.mark.parametrize(
    ("text", "scale"),
    [
        ("log(1e-4,1e-1)", scales.log(1e-4, 1e-1)),
        (" linear( 0, 1 ) ", scales.linear(0, 1)),
        ("among(1,2, 5)", scales.among("1", "2", "5")),
        ("among([18],[])", scales.among("[18]", "[]")),
    ],
)
def test_a_scale_is_read_from_text(text: str, scale: Scale) -> None:
    assert parse_scale(text) == scale


@pytest.mark.parametrize("text", ["log", "log()", "log(1)", "log(a,b)", "sqrt(1,2)", "log(1,2,3)", ""])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"log\("):
        parse_scale(text)


@pytest.mark.parametrize("scale", [scales.log(1e-3, 0.1), scales.linear(0, 1), scales.among(4, 8, 16)])
def test_the_text_of_a_scale_is_the_scale(scale: Scale) -> None:
    read = parse_scale(str(scale))
    assert read == scale or [str(each) for each in scale.values] == list(read.values)


def test_a_scale_holds_its_values_alone() -> None:
    assert scales.log(1e-3, 0.1).holds(0.1) and not scales.log(1e-3, 0.1).holds(0.2)
    assert (
        scales.among(None, 1).holds(None) and not scales.among(1, 2).holds(1.0) and not scales.linear(0, 1).holds("a")
    )


def test_options_know_their_scale() -> None:
    found = options_of(Options)
    assert found["lr"].search == scales.log(1e-3, 1e-1) and found["loss"].search is None


@pytest.mark.parametrize(
    ("key", "text", "values"),
    [
        ("milestones", "among([18],[])", ((18,), ())),
        ("decay", "among(none,0.5)", (None, 0.5)),
        ("loss", "among(local,global)", ("local", "global")),
    ],
)
def test_values_of_a_scale_get_the_type_of_their_option(key: str, text: str, values: tuple[Any, ...]) -> None:
    assert fitting(parse_scale(text), options_of(Options)[key]).values == values


@pytest.mark.parametrize(
    ("key", "scale", "says"),
    [
        ("lr", scales.linear(0, 1), "above 0"),
        ("lr", scales.log(0, 1), "above 0"),
        ("lr", scales.log(0.1, 0.01), "the lower one first"),
        ("epochs", scales.linear(0.5, 2), "whole number"),
        ("loss", scales.linear(0, 1), "among"),
        ("loss", scales.among("local", "x"), "local"),
        ("lr", scales.among(0.1), "two values"),
    ],
)
def test_a_scale_that_its_option_does_not_accept_is_refused(key: str, scale: Scale, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        fitting(scale, options_of(Options)[key])


def test_a_declared_scale_that_does_not_fit_breaks_the_contract() -> None:
    @dataclass(frozen=True)
    class Wrong:
        lr: float = option(0.01, "rate", gt=0, search=scales.linear(0, 1))

    with pytest.raises(ContractError, match=r"Wrong: The scale linear\(0, 1\) of lr"):
        options_of(Wrong)
