"""Figures on a page: their width, the size of their type, their title, and how texts are broken."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.errors import UsageError
from cl.results.plots import THEMES, Page
from cl.results.plots.page import in_lines, is_narrow, on, panels_across, scaled, wrapped
from tests.help.figures import many, only, runs

Make = Callable[..., dict[str, Any]]

KINDS = ("curves", "cost", "forgetting", "nevis")


def size(path: Path) -> tuple[float, float]:
    found = re.search(r'viewBox="0 0 ([0-9.]+) ([0-9.]+)"', path.read_text())
    assert found is not None
    return float(found[1]) / 72, float(found[2]) / 72


@pytest.mark.parametrize("width", [3.25, 5.5, 6.75])
@pytest.mark.parametrize("kind", KINDS)
def test_a_figure_is_as_wide_as_the_page_asks(make_record: Make, tmp_path: Path, kind: str, width: float) -> None:
    events = [{"event": i, "what": f"train {i}", "uncached": 1e12 * (i + 1)} for i in range(3)]
    records = [record for name in "abc" for record in runs(make_record, name, [40, 60], measurement__events=events)]
    path = only(records, kind).save(tmp_path / "a.svg", page=Page(width, 8))
    assert size(path)[0] == pytest.approx(width, abs=0.02)


def test_a_heat_map_keeps_the_shape_of_its_cells(make_record: Make, tmp_path: Path) -> None:
    plot = only(runs(make_record, "a", [40]), "matrix")
    narrow, wide = (size(plot.save(tmp_path / f"{w}.svg", page=Page(w, 8))) for w in (2.0, 4.0))
    assert narrow[0] == pytest.approx(2, abs=0.02) and wide[0] == pytest.approx(4, abs=0.02)
    assert wide[1] > 1.5 * narrow[1]


def test_a_page_that_is_too_narrow_is_one_sentence(make_record: Make, tmp_path: Path) -> None:
    records = runs(make_record, "a-strategy-with-a-really-long-name" * 2, [40])
    with pytest.raises(UsageError, match=r"of 83 mm and leave too little for this figure; raise --width"):
        only(records, "forgetting").save(tmp_path / "a.svg", page=Page(3.25, 12))


def test_long_labels_below_the_axes_are_in_several_lines(make_record: Make, tmp_path: Path) -> None:
    config = {f"option_{number}": {"value": number, "origin": "command line"} for number in range(6)}
    records = [*runs(make_record, "a", [40], result__config=config), *runs(make_record, "a", [50])]
    path = only(records, "curves").save(tmp_path / "a.svg", page=Page(3.25, 10))
    assert size(path)[0] == pytest.approx(3.25, abs=0.02)


def test_the_page_has_a_title_of_its_own_or_none(make_record: Make, tmp_path: Path) -> None:
    plot = only(runs(make_record, "a", [40]), "curves")
    usual, own, none = (
        re.sub(
            r"(?s)<metadata>.*</metadata>|<title>.*</title>",
            "",
            plot.save(tmp_path / "a.svg", page=Page(title=title)).read_text(),
        )
        for title in (None, "My title", "")
    )
    assert "split-toy, vit_micro" in usual and "rule cil_seen" in usual
    assert "My title" in own and "split-toy, vit_micro" not in own and "rule cil_seen" in own
    assert "split-toy, vit_micro" not in none and "rule cil_seen" not in none


def test_type_has_the_size_of_the_page(make_record: Make, tmp_path: Path) -> None:
    plot = only(runs(make_record, "a", [40]), "curves")
    for asked in (6.0, 12.0):
        text = plot.save(tmp_path / "a.svg", page=Page(font_size=asked)).read_text()
        sizes = {float(number) for number in re.findall(r"font(?:-size)?: (?:\w+ )?([0-9.]+)px", text)}
        assert sorted(sizes) == pytest.approx([0.9 * asked, asked, 1.15 * asked])


def test_many_rows_are_grey_beside_twelve_on_a_narrow_page_too(make_record: Make, tmp_path: Path) -> None:
    text = only(many(make_record), "curves").save(tmp_path / "a.svg", THEMES["dark"], Page(6.75, 6)).read_text()
    assert "and 18 more" in text


def test_texts_are_broken_only_on_a_page_with_a_width() -> None:
    text = "a title of many words that is longer than a column"
    assert wrapped(text, 10) == text
    with on(Page(2.0, 10)):
        assert is_narrow() and "\n" in wrapped(text, 10) and wrapped(text, 10).replace("\n", " ") == text
        assert panels_across(1.0, 4) == 1
    with on(Page(8.0, 5)):
        assert not is_narrow() and scaled(2.0) == 1.0 and panels_across(1.8, 4) == 4
    assert in_lines("", 10, 2) == "" and not is_narrow()
