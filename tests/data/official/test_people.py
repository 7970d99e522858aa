"""People: which of their photos are learned, validated and tested."""

from __future__ import annotations

from pathlib import Path

from cl.data.official.files import Files, Folder
from cl.data.official.people import people


def test_the_last_photos_are_held_out_and_rare_people_left_out(tmp_path: Path) -> None:
    for person, count in (("Ann", 11), ("Bob", 5), ("Cid", 4)):
        for number in range(1, count + 1):
            (tmp_path / f"{person}_{number}.jpg").touch()
    listing = people(Files([Folder(tmp_path, ("",))], "here"), r"(\w+)_(\d+)\.jpg")
    assert listing.class_names == ("Ann", "Bob")
    assert {split: each.labels.tolist() for split, each in listing.splits.items()} == {
        "train": [0] * 8 + [1] * 2, "val": [0, 1], "test": [0, 0, 1, 1]
    }  # fmt: skip
    names = [text.split("\t")[0] for text in listing.splits["test"].identity()]
    assert names == ["Ann_10.jpg", "Ann_11.jpg", "Bob_4.jpg", "Bob_5.jpg"], "in the order of numbers, not of letters"
