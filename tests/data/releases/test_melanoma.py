"""ISIC 2017 with lists of which lines were lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.data import releases
from cl.data.official.release import load
from cl.errors import DataError
from tests.help.releases import located, written


@pytest.fixture
def lists(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The three lists of images and their classes."""
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    written("melanoma", tmp_path)
    return sorted((tmp_path / "melanoma").glob("*_GroundTruth.csv"))


def test_a_class_that_no_list_has_is_named(lists: list[Path]) -> None:
    for path in lists:
        lines = path.read_text().splitlines()
        path.write_text("\n".join(line for line in lines if not line.endswith("1.0,0.0")))
    dataset = load(located(releases.release("melanoma")), 8)
    assert dataset.class_names == ("seborrheic keratosis", "benign nevus")
    (note,) = dataset.notes
    names = ", ".join(path.name for path in (lists[1], lists[2], lists[0]))
    assert note.startswith(f"ISIC 2017 has 18 images here, none of melanoma by {names}, and 2,750 as published;")


def test_an_empty_list_is_named(lists: list[Path]) -> None:
    lists[1].write_text(lists[1].read_text().splitlines()[0])
    with pytest.raises(DataError, match=rf"has no train images of ISIC 2017 by {lists[1].name}, .*; get the whole"):
        load(located(releases.release("melanoma")), 8)
