"""Stamps of the files that a run reads: what changed is found, and what only looks changed is not."""

from __future__ import annotations

import json
import os
from pathlib import Path

from cl.data import reads
from cl.data.reads import Reads, Stamp, note, note_search, recording


def test_nothing_is_recorded_outside_of_a_recording(tmp_path: Path) -> None:
    note(tmp_path)
    note_search((tmp_path,), names=["a"])
    with recording() as found:
        pass
    assert found == Reads()


def test_a_file_with_another_time_is_the_same_and_with_other_bytes_is_not(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"abc")
    with recording() as found:
        note(path)
    os.utime(path, (1, 1))
    assert found.changed() == []
    path.write_bytes(b"abd")
    assert found.changed() == [str(path)]
    path.unlink()
    assert found.changed() == [str(path)]


def test_a_folder_changes_with_every_file_below_it(tmp_path: Path) -> None:
    (tmp_path / "tree" / "class").mkdir(parents=True)
    image = tmp_path / "tree" / "class" / "1.png"
    image.write_bytes(b"abc")
    with recording() as found:
        note(tmp_path / "tree")
    assert found.changed() == []
    for change in (
        lambda: image.write_bytes(b"abcd"),
        lambda: (tmp_path / "tree" / "2.png").touch(),
        lambda: image.rename(image.with_name("3.png")),
        lambda: os.utime(tmp_path / "tree" / "2.png", (1, 1)),
    ):
        before = Stamp.of(tmp_path / "tree")
        change()
        assert not before.is_of(tmp_path / "tree") and Stamp.of(tmp_path / "tree").is_of(tmp_path / "tree")


def test_links_in_a_circle_and_dangling_links_have_a_stamp(tmp_path: Path) -> None:
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / "lost").symlink_to(tmp_path / "nowhere")
    stamp = Stamp.of(tmp_path)
    assert stamp.quick.startswith("1 files ") and stamp.is_of(tmp_path)
    (tmp_path / "nowhere").touch()
    assert not stamp.is_of(tmp_path)


def test_a_file_that_cannot_be_read_counts_as_changed(tmp_path: Path) -> None:
    stamp = Stamp.of(tmp_path / "missing")
    assert stamp == Stamp("") and not stamp.is_of(tmp_path / "missing")


def test_reads_survive_a_file(tmp_path: Path) -> None:
    with recording() as found:
        note(tmp_path)
        note_search((tmp_path / "a",), names=["a"], subfolders=[])
        note_search((tmp_path / "a",), names=["a"], subfolders=[])
    assert found.searches == [{"names": ["a"], "subfolders": [], "found": [str(tmp_path / "a")]}]
    assert reads.Reads.from_json(json.loads(json.dumps(found.as_json()))) == found


def test_a_second_recording_adds_to_the_first(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).touch()
    with recording() as found:
        note(tmp_path / "a")
    with recording(found):
        note(tmp_path / "b")
    assert sorted(found.paths) == [str(tmp_path / "a"), str(tmp_path / "b")]
