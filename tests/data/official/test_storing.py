"""Images of a split as a store: their side and colours, and when they are decoded again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from cl.data.official.listing import Examples
from cl.data.official.storing import stored


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path))


def examples(decoded: list[int], labels: np.ndarray, texts: Iterable[str] = ("a", "b", "c")) -> Examples:
    def decode(index: int) -> np.ndarray:
        decoded.append(index)
        return np.full((6, 4, 1), 10 * index, np.uint8)

    return Examples(labels, decode, lambda: texts)


def test_images_are_square_and_in_colour_unless_they_stay_grey() -> None:
    given = examples([], np.array([2, 0, 1]))
    store = stored("toys", "toys 1", given, 8)
    assert store.pixels.shape == (3, 8, 8, 3)
    assert {(int(store.labels[row]), int(store.pixels[row].max())) for row in range(3)} == {(2, 0), (0, 10), (1, 20)}
    assert stored("toys", "grey toys 1", given, 8, grey=True).pixels.shape == (3, 8, 8, 1)


def test_they_are_decoded_once_for_each_version_side_labels_and_files() -> None:
    decoded: list[int] = []
    labels = np.array([2, 0, 1])
    stored("toys", "toys 1", examples(decoded, labels), 8)
    assert set(decoded) == {0, 1, 2}
    decoded.clear()
    stored("toys", "toys 1", examples(decoded, labels), 8)
    assert decoded == []
    for version, given, size in (
        ("toys 2", examples(decoded, labels), 8),
        ("toys 1", examples(decoded, labels), 4),
        ("toys 1", examples(decoded, labels[::-1].copy()), 8),
        ("toys 1", examples(decoded, labels, ("a", "b", "\udcff")), 8),  # a file name that is no UTF-8
    ):
        decoded.clear()
        stored("toys", version, given, size)
        assert set(decoded) == {0, 1, 2}


def test_several_classes_per_image_stay_with_their_images() -> None:
    tags = np.array([[True, False], [True, True], [False, True]])
    store = stored("toys", "toys 1", examples([], tags), 8)
    assert store.tags is not None
    by_pixel = {int(store.pixels[row].max()): store.tags[row].tolist() for row in range(3)}
    assert by_pixel == {10 * index: tags[index].tolist() for index in range(3)}
