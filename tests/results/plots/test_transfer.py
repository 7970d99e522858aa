"""Forward transfer per task and by group of tasks."""

from __future__ import annotations

from typing import Any

import pytest

from cl.results.plots import THEMES, plots_of
from tests.help.figures import only, texts
from tests.help.transfer import learner, rivals


def test_the_numbers_are_points_against_independent() -> None:
    data = only(rivals(), "transfer").data
    [row] = data["rows"]
    assert data["against"] == ["independent"] and row["label"] == "other" and row["seeds"] == 2
    assert row["transfer"] == pytest.approx([4, 2, -8]) and row["low"] == pytest.approx([3, 0, -10])
    assert row["error"] == pytest.approx([6, 28, 58]) and row["error_against"] == pytest.approx([10, 30, 50])
    assert row["tflop"] == pytest.approx([5e-12, 25e-12, 85e-12])
    assert [task["year"] for task in data["tasks"]] == [1998, 1999, 2005]
    groups = {(by, each["name"]): each["transfer"] for by, found in row["groups"].items() for each in found}
    assert groups == pytest.approx({
        ("all", "all"): -2 / 3, ("domain", "ocr"): -2, ("domain", "face"): 2, ("decade", "1990s"): 3,
        ("decade", "2000s"): -8, ("labels", "single"): 3, ("labels", "multi"): -8,
    }, abs=1e-3)  # fmt: skip


def test_without_a_reference_there_is_no_figure_and_other_rows_are_named() -> None:
    assert plots_of(rivals()[2:], ["transfer"]) == [] and plots_of(rivals()[:2], ["transfer"]) == []
    apart = learner("apart", (90, 70, 50), (1.0, 1.0, 1.0), seed=5, several=(2,))
    assert only([*rivals(), apart], "transfer").data["without"] == ["apart"]


@pytest.mark.parametrize("number", [29, 106])
def test_names_of_many_tasks_do_not_overlap(number: int) -> None:
    facts: list[dict[str, Any]] = [
        {"year": 1990 + 31 * i // number, "domain": f"domain {i % 12}"} for i in range(number)
    ]
    groups = [{"name": f"a_dataset_of_words_{i}", "classes": [2 * i], "task": i} for i in range(number)]
    records = [
        learner(name, [50 + shift] * number, [1.0] * number, facts=facts, result__stream__groups=groups)
        for shift, name in enumerate(("independent", "a", "b", "c"))
    ]
    boxes, _ = texts(only(records, "transfer"))
    assert sum(text.startswith("a_dataset_of_words_") for text, _ in boxes) == number
    early = sum(each["year"] < 2000 for each in facts)
    assert {f"all tasks ({number})", f"1990s ({early})"} <= {text for text, _ in boxes}
    boxes = [each for each in boxes if any(map(str.isalpha, each[0]))]  # numbers may stand outside the axes, undrawn
    for index, (text, box) in enumerate(boxes):
        over = [other for other, at in boxes[index + 1 :] if at.shrunk(0.9, 0.9).overlaps(box.shrunk(0.9, 0.9))]
        assert not over, (text, over)


def test_streams_without_years_say_so() -> None:
    records = [learner(name, (90, 70, 50), (1.0, 1.0, 1.0), facts=None) for name in ("independent", "other")]
    plot = only(records, "transfer")
    boxes, _ = texts(plot)
    assert any("years are not known" in text for text, _ in boxes)
    assert {"task 0", "all tasks (3)"} <= {text for text, _ in boxes} and len(THEMES) == 3
