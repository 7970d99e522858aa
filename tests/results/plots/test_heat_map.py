"""The heat map that figures of tables share."""

from __future__ import annotations

import numpy as np
import pytest

from cl.results.plots.heat_map import heat_map
from cl.results.plots.style import THEMES, scale

VALUES = np.array([[100.0, 0.4, np.nan], [0.0, 60.0, 40.0]])


@pytest.mark.parametrize(("least", "written"), [(-np.inf, ["100", "0", "0", "60", "40"]), (0.5, ["100", "60", "40"])])
def test_numbers_and_colours_are_in_their_cells(least: float, written: list[str]) -> None:
    columns, rows = ["a", "b", "c"], ["x", "y"]
    figure, axes = heat_map(
        VALUES, columns, rows, THEMES["light"], cell=(1.0, 2.0), label_size=8.5, number_size=7.0, least=least
    )
    assert tuple(figure.get_size_inches()) == (3.0, 4.0)
    assert [text.get_text() for text in axes.texts] == written
    places = {text.get_text(): text.get_position() for text in axes.texts}
    assert (places["60"], places["40"]) == ((1, 1), (2, 1))
    [image] = axes.images
    np.testing.assert_array_equal(image.get_array().mask, np.isnan(VALUES))  # type: ignore[union-attr]
    assert image.get_clim() == (0, 100) and image.get_cmap().name == scale(THEMES["light"]).name
    assert [label.get_text() for label in axes.get_xticklabels()] == columns
    assert [label.get_text() for label in axes.get_yticklabels()] == rows


def test_names_and_numbers_are_left_out_where_there_is_no_space() -> None:
    names = [str(place) for place in range(10)]
    _, axes = heat_map(
        np.zeros((10, 10)), names, names, THEMES["dark"], cell=(0.05, 0.05), label_size=7.5, number_size=None
    )
    assert [label.get_text() for label in axes.get_xticklabels()] == names[::3] and not axes.texts
