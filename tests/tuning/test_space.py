"""What is searched: declared scales, those of the user, and values in both directions."""

from __future__ import annotations

from typing import Any

import pytest

from cl import scales
from cl.errors import UsageError
from cl.tuning.space import Space, bases_of, space_of


def test_declared_scales_are_searched_unless_the_user_fixes_or_replaces_them() -> None:
    declared = space_of("slca", "split-digits", searches={})
    assert declared.about()["lr"] == "log(0.001, 0.1)" and "epochs" not in declared.scales
    given = {"lr": "log(0.01,1)", "epochs": "linear(1,3)", "milestones": "among([1],[])"}
    space = space_of("slca", "split-digits", searches=given, options={"ca_lr": "0.1"})
    assert space.scales["lr"] == scales.log(0.01, 1.0) and space.scales["epochs"] == scales.linear(1, 3)
    assert "ca_lr" not in space.scales and space.scales["milestones"].values == ((1,), ())


@pytest.mark.parametrize(
    ("searches", "options", "says"),
    [
        ({"lrr": "log(1e-3,1)"}, {}, "slca has no option 'lrr'. Did you mean lr"),
        ({"lr": "log(1e-3,1)"}, {"lr": "0.1"}, "lr is given by --set and by --search"),
        ({"stream.tasks": "among(2,5)"}, {}, "the stream is what trials are judged on"),
        ({"lr": "0.1"}, {}, "A scale is log"),
    ],
)
def test_other_searches_are_refused(searches: dict[str, str], options: dict[str, str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        space_of("slca", "split-digits", searches=searches, options=options)


def test_a_wrapper_searches_what_the_methods_that_it_wraps_declare() -> None:
    values = {"base": "ama", "base.base": "slca", "tau": 0.99}
    bases = bases_of("momentum", values)
    assert bases == {"base": "ama", "base.base": "slca"} and bases_of("slda", {"base": "oas"}) == {}
    space = space_of("momentum", "split-digits", searches={"base.base.epochs": "linear(1,3)"}, bases=bases)
    assert {"tau", "base.keep_mean", "base.base.lr", "base.base.ca_lr"} < set(space.scales)
    assert space.scales["base.base.epochs"] == scales.linear(1, 3) and "lr" not in space.scales
    fixed = space_of("momentum", "split-digits", searches={}, options={"base.base.lr": "0.1"}, bases=bases)
    assert set(space.scales) - set(fixed.scales) == {"base.base.lr", "base.base.epochs"}
    with pytest.raises(UsageError, match=r"momentum has no option 'base.base.lrr'. Did you mean base.base.lr"):
        space_of("momentum", "split-digits", searches={"base.base.lrr": "log(1e-3,1)"}, bases=bases)


def test_a_method_without_scales_says_how_to_give_one() -> None:
    with pytest.raises(UsageError, match=r"simplecil declares no search scale; give one, such as --search 'lr=log"):
        space_of("simplecil", "split-digits", searches={})


def test_values_go_to_the_study_and_come_back() -> None:
    space = Space(
        {"lr": scales.log(1e-3, 0.1), "epochs": scales.linear(1, 5), "steps": scales.among((18,), ()),
         "decay": scales.among(None, 1, 1.0)}
    )  # fmt: skip
    options: dict[str, Any] = {"lr": 0.01, "epochs": 3, "steps": (), "decay": 1.0}
    plain = space.plain(options)
    assert plain == {"lr": 0.01, "epochs": 3, "steps": "[]", "decay": 1.0}
    back = space.options(plain)
    assert back == options and isinstance(back["decay"], float) and isinstance(back["epochs"], int)
    assert space.plain({**options, "lr": 0.2}) is None and space.plain({"lr": 0.01}) is None
    assert space.options({**plain, "lr": 0.0123456789})["lr"] == 0.012346, "what is written is what was tried"


def test_the_study_searches_the_scales() -> None:
    pytest.importorskip("optuna", reason="needs the extra tune")
    space = Space({"lr": scales.log(1e-3, 0.1), "epochs": scales.linear(1, 5), "size": scales.among(8, 16)})
    found = space.distributions()
    assert found["lr"].log and (found["lr"].low, found["lr"].high) == (1e-3, 0.1)
    assert type(found["epochs"]).__name__ == "IntDistribution" and found["size"].choices == (8, 16)
