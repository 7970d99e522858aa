"""NEVIS'22 streams: the official tasks and orders, available datasets in every form, and the year of development."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cl.errors import DataError, UsageError
from cl.streams.nevis import Nevis, NevisLarge, NevisReal, NevisShort, NevisTiny
from tests.help.releases import written


def grey(path: Path, split: int | None = None) -> None:
    """A pack of 20 images of each of two classes; a fifth is for tests, or all images are of one split."""
    labels = np.repeat(np.arange(2), 20).astype(np.int16)
    splits = np.tile(np.arange(20) % 5 == 0, 2).astype(np.uint8) if split is None else np.full(40, split, np.uint8)
    pixels = np.random.default_rng(len(path.name)).integers(0, 256, (40, 8, 8), dtype=np.uint8)
    np.savez(path, images=pixels, labels=labels, split=splits, classes=np.array(["a", "b"]))


@pytest.fixture
def data(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of CLBENCH_DATA_PATH."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(folder))
    return folder


_TASKS = [(Nevis, 106), (NevisShort, 29), (NevisTiny, 7), (NevisReal, 29), (NevisLarge, 7)]


@pytest.mark.parametrize(("family", "tasks"), _TASKS)
def test_variants_have_the_official_number_of_tasks(family: type[Nevis], tasks: int, data: Path) -> None:
    declared = family.declaration()
    assert len(declared.datasets) + len(declared.omitted) == tasks
    years = [entry.year for entry in declared.datasets]
    assert years == sorted(years, key=lambda year: year or 0) and declared.setting == "task-incremental"


def test_tasks_with_several_labels_are_left_out_on_request_and_named(data: Path) -> None:
    every = Nevis.declaration()
    assert len(every.datasets) == 106 and not every.omitted and sum(each.multi_label for each in every.datasets) == 9
    left = Nevis().chosen(Nevis.Options(multi_label="skip"), "")
    assert len(left.datasets) == 97 and not any(entry.multi_label for entry in left.datasets)
    assert len(left.omitted) == 9 and all(text.endswith("(multi-label)") for text in left.omitted)


def test_tasks_with_several_labels_are_read_from_official_files_only(data: Path) -> None:
    grey(data / "voc_2007.npz")
    grey(data / "biwi.npz")
    grey(data / "landsat.npz")
    found = {entry.name: entry for entry in Nevis.declaration().datasets}
    assert found["landsat"].reader == "pack"
    assert {found[name].reader for name in ("voc_2007", "biwi")} == {"official"}
    stream = Nevis().build(Nevis.Options(), order_seed=1, data_seed=1)
    assert [group.name for group in stream.groups] == ["landsat"] and not stream.multi_label
    assert Nevis.multi_label_of(Nevis.Options()) == ()


def test_tasks_with_several_labels_that_are_here_are_known_before_they_are_read(data: Path) -> None:
    written("voc_2007", data)
    assert Nevis.multi_label_of(Nevis.Options()) == ("voc_2007",)
    assert Nevis.multi_label_of(Nevis.Options(multi_label="skip")) == ()
    assert Nevis.multi_label_of(Nevis.Options(stop_year=2005)) == ()


def test_available_datasets_are_used_in_the_order_of_the_stream(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    grey(data / "landsat.npz")
    grey(data / "aberdeen_train.npz", split=0)
    grey(data / "aberdeen_test.npz", split=1)
    stream = Nevis().build(Nevis.Options(), order_seed=1, data_seed=1)
    assert [group.name for group in stream.groups] == ["aberdeen", "landsat"]
    assert "are not here and left out" in caplog.text


def test_development_stops_before_a_year(data: Path) -> None:
    every = Nevis().chosen(Nevis.Options(), "").datasets
    early = Nevis().chosen(Nevis.Options(stop_year=2020), "").datasets
    assert early == tuple(entry for entry in every if (entry.year or 0) < 2020) and 0 < len(early) < len(every)
    with pytest.raises(UsageError, match="stop_year=1990 leaves no task; the first task is from 1992"):
        Nevis().chosen(Nevis.Options(stop_year=1990), "")


def test_without_any_dataset_the_error_names_what_to_provide(data: Path) -> None:
    with pytest.raises(DataError, match=r"Stream nevis-tiny needs .* and \d+ more, not found in"):
        NevisTiny().build(NevisTiny.Options(), order_seed=1, data_seed=1)
