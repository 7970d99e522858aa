"""File names of figures: short, different, and the same again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cl.results import load_results
from cl.results.plots import plots_of
from cl.results.plots.names import LONGEST, numbered, short
from tests.help.figures import LONG, REFERENCE, many, runs

Make = Callable[..., dict[str, Any]]


def test_a_name_has_what_tells_figures_apart(make_record: Make) -> None:
    records = runs(make_record, "a", [40]) + runs(make_record, "a", [50], result__backbone__name="resnet18.a1")
    assert [plot.name for plot in plots_of(records, ["curves"])] == [
        "curves-split-toy-resnet18",
        "curves-split-toy-vit_micro",
    ]
    assert [plot.name for plot in plots_of(records[:1], ["curves", "matrix"])] == [
        "curves-split-toy",
        "matrix-split-toy-a",
    ]
    two = [*runs(make_record, "a", [40]), *runs(make_record, "a", [50], result__config={"schedule": LONG})]
    two[1]["run_id"] += "x"
    names = [plot.name for plot in plots_of(two, ["matrix"])]
    assert sorted(names) == ["matrix-split-toy-a", "matrix-split-toy-a-schedule=cosine-with-warmup-and-restarts"]


def test_names_are_short_and_unique(make_record: Make) -> None:
    for records in (many(make_record), load_results(REFERENCE).records):
        names = [plot.name for plot in plots_of(records, ["curves", "matrix", "forgetting"])]
        assert len(set(names)) == len(names) > 3
        assert max(map(len, names)) <= LONGEST + len("-99")


def test_a_long_name_is_cut_after_a_word_and_keeps_its_ending() -> None:
    name = short("curves", "split-cifar100", *["option=value"] * 9, limited=True)
    assert len(name) <= LONGEST and name.endswith("option=value-limited")
    assert numbered(["a", "b", "a", "a-2", "a"]) == ["a", "b", "a-2", "a-2-2", "a-3"]
