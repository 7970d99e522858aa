"""Classes of quality of the Tampere Image Databases."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cl.data.official.files import Files, Folder
from cl.data.official.tid import by_quality
from cl.errors import DataError


def database(folder: Path, values: list[str]) -> Files:
    """Files of a database with two distortions in two levels: no images, as nothing decodes them."""
    (folder / "MSSIM.TXT").write_text("\n".join(values))
    for reference in range(1, 26):
        for distortion in (1, 2):
            for level in (1, 2):
                (folder / f"{'I' if level == 1 else 'i'}{reference:02}_{distortion:02}_{level}.bmp").touch()
    return Files([Folder(folder, ("",))], str(folder))


def test_classes_have_the_same_number_of_images(tmp_path: Path) -> None:
    values = np.random.default_rng(0).permutation(100) / 100
    listing = by_quality(database(tmp_path, [f"{value:.4f}" for value in values]), 2, 2)
    labels = listing.splits["all"].labels
    assert Counter(labels.tolist()) == dict.fromkeys(range(5), 20)
    first = (values[[0, 2]] * 5).astype(int)  # I01_01_1 and I01_02_1 are listed before i01_01_2
    np.testing.assert_array_equal(labels[:2], first)


def test_equal_values_are_in_one_class(tmp_path: Path) -> None:
    values = ["0.1"] * 25 + ["0.5"] * 75
    labels = by_quality(database(tmp_path, values), 2, 2).splits["all"].labels
    assert Counter(labels.tolist()) == {0: 25, 1: 75}


@pytest.mark.parametrize(
    ("values", "why"), [(["0.1"] * 99, "has 99 numbers, expected 100"), (["x"] * 100, "no number")]
)
def test_other_files_are_refused(tmp_path: Path, values: list[str], why: str) -> None:
    with pytest.raises(DataError, match=why):
        by_quality(database(tmp_path, values), 2, 2)


def test_an_image_of_another_database_is_refused(tmp_path: Path) -> None:
    files = database(tmp_path, ["0.1"] * 50)
    with pytest.raises(DataError, match=r"i01_01_2\.bmp|I01_02_1\.bmp"):
        by_quality(files, 1, 2)
