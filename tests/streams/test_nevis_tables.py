"""The tables of the NEVIS streams."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.errors import UsageError
from cl.options import listed
from cl.streams.nevis import ABLATIONS, Nevis, NevisShort, NevisTiny


@pytest.mark.parametrize(
    ("name", "tasks", "multi", "development"),
    [("nevis", 106, 9, 92), ("nevis-short", 29, 2, 25), ("nevis-tiny", 7, 1, 6)],
)
def test_the_official_tables(name: str, tasks: int, multi: int, development: int) -> None:
    from cl.streams.nevis import _tasks

    rows = list(_tasks(name.removeprefix("nevis").removeprefix("-")))
    years = [int(row["year"]) for row in rows]
    assert len(rows) == tasks and years == sorted(years) and sum(year < 2020 for year in years) == development
    assert sum(row["labels"] == "multi" for row in rows) == multi
    if name == "nevis":
        assert len({row["name"] for row in rows}) == 97


@pytest.mark.parametrize(
    ("ablation", "tasks", "development", "out", "kept"),
    [
        ("large", 67, 53, "coil20-2000 brodatz-1998 interact", "coil20-2019 voc_actions ddsm mnist-2015"),
        ("major-domain", 70, 56, "dtd mnist-2004 celeb_a melanoma tid2008", "svhn_cropped coil20-2000 ddsm biwi"),
        ("without-first-30", 76, 62, "magellan_venus_volcanoes oxford_flowers_17", "oxford_flowers102-2011 ddsm"),
        # 13, 11 and 4 tasks of 2019 to 2017, and the first two of the 14 of 2016
        ("without-last-30", 76, 62, "coil100-2019 cifar100 stanford_cars", "fgvc_aircraft_family chars74k ddsm"),
        ("without-imagenet", 105, 91, "imagenet2012-2011", "imagenet2012-2021 tiny_imagenet"),
    ],
)
def test_reduced_streams_of_the_official_code(
    ablation: str, tasks: int, development: int, out: str, kept: str, cache: Path
) -> None:
    whole = [entry.name for entry in Nevis.declaration().datasets]
    found = [each.name for each in Nevis().chosen(Nevis.Options(ablation=ablation), "").datasets]
    early = Nevis().chosen(Nevis.Options(ablation=ablation, stop_year=2020), "").datasets
    assert (len(found), len(early)) == (tasks, development) and found == [name for name in whole if name in found]
    assert not {*out.split()} & {*found} and {*kept.split()} <= {*found}
    assert set(found[-14:]) == set(whole[-14:]), "the held-out tasks stay"


def test_the_ablation_is_recorded_only_when_it_is_chosen() -> None:
    assert "ablation" not in listed(Nevis.Options()) and listed(Nevis.Options(ablation="large"))["ablation"] == "large"
    assert len(ABLATIONS) == 5


@pytest.mark.parametrize("family", [NevisShort, NevisTiny])
def test_shorter_streams_have_no_ablation(family: type[Nevis], cache: Path) -> None:
    with pytest.raises(UsageError, match=r"ablation=large is of the stream nevis; nevis-\w+ has none"):
        family().chosen(family.Options(ablation="large"), "")
    early = {NevisShort: 25, NevisTiny: 6}[family]
    assert len(family().chosen(family.Options(stop_year=2020), "").datasets) == early


def test_a_year_before_the_first_task_that_is_left(cache: Path) -> None:
    with pytest.raises(UsageError, match="stop_year=2000 leaves no task; the first task is from 2011"):
        Nevis().chosen(Nevis.Options(ablation="without-first-30", stop_year=2000), "")


def test_every_task_has_a_domain() -> None:
    from cl.streams.nevis import _tasks

    rows = list(_tasks(""))
    assert all(row["domain"] for row in rows) and len({row["domain"] for row in rows}) == 12
    leaves_out = {"satellite", "face", "texture", "shape", "ocr", "quality", "medical"}
    early = [row for row in rows if int(row["year"]) < 2020]
    ours = {row["name"] for row in early if (row["domain"] in leaves_out) == bool(row["major"])}
    assert ours == {"svhn_cropped", "not_mnist", "mnist_rotation"}, "digits and letters that the code keeps"
