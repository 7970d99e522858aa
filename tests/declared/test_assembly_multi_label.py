"""Declared streams with several classes per image: tags follow their images, limits say what they take away."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cl.cli.stream_info import tasks
from cl.declared.declaration import load
from cl.declared.family import without_multi_label
from cl.errors import UsageError
from cl.stream import Stream
from cl.streams.toml_file import TomlFile
from cl.testing import check_stream
from tests.help.declared import build, pack
from tests.help.releases import written
from tools.miniatures.pen import Pen, number_of

VOC = '[[datasets]]\nname = "voc"\nreader = "official"\nrelease = "voc_2007"\nsplits = "nevis"\n'
GREY = '[[datasets]]\nname = "grey"\nreader = "pack"\nfiles = ["grey.npz"]\n'
HEAD = 'name = "mixed"\nsetting = "{}"\nsize = 32\n'


@pytest.fixture
def data(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(folder))
    pack(folder / "grey.npz", ("dog", "cat"), 8, 1)
    return folder


def declared(data: Path, text: str = GREY + VOC, setting: str = "task-incremental") -> Path:
    path = data.parent / "mixed.toml"
    path.write_text(HEAD.format(setting) + text)
    return path


def names_of(stream: Stream, pen: Pen) -> int:
    """Assert that every image of the second task has the classes that were drawn; returns their number."""
    experience, group, seen = stream.experiences[1], stream.groups[1], 0
    assert group.tags is not None
    tables = [("train", experience.train, experience.tags), ("val", experience.val, experience.val_tags)]
    tables += [(split, group.rows[split], group.tags[split]) for split in ("dev_test", "test")]
    for split, rows, tags in tables:
        assert tags is not None and tags.shape == (len(rows), len(experience.classes))
        for row, has in zip(rows.tolist(), tags, strict=True):
            number = number_of(np.asarray(stream.store(split).pixels[row]))
            classes = [stream.info.class_names[experience.classes[place]] for place in np.flatnonzero(has)]
            assert sorted(classes) == sorted(f"voc/{name}" for name in pen.truth[number].labels)
            seen += 1
    return seen


@pytest.mark.parametrize("options", [{}, {"order": "pycil"}, {"train_per_class": 1, "test_per_class": 1}])
def test_tags_follow_their_images_through_union_order_and_limits(data: Path, options: dict[str, object]) -> None:
    pen = written("voc_2007", data)
    stream = build(declared(data), **options)
    assert stream.multi_label == ("voc",) and stream.experiences[0].tags is None
    assert 0 < names_of(stream, pen) <= 120
    check_stream(stream)


def test_images_held_out_of_an_official_split_keep_their_tags(data: Path) -> None:
    pen = written("voc_2007", data)
    stream = build(
        declared(
            data, GREY + VOC.replace('splits = "nevis"', 'splits = "train-only"').replace('splits = "train-only"\n', "")
        ),
        val_fraction=0.3,
    )
    experience = stream.experiences[1]
    assert experience.val_tags is not None and experience.val_tags.shape[0] == len(experience.val) > 0
    for row, has in zip(experience.val.tolist(), experience.val_tags, strict=True):
        number = number_of(np.asarray(stream.dataset.train.pixels[row]))
        assert has.sum() == len(pen.truth[number].labels)


def test_classes_that_a_limit_leaves_without_images_are_said(data: Path) -> None:
    written("voc_2007", data)
    whole, limited = build(declared(data)), build(declared(data), train_per_class=1, test_per_class=1)
    assert limited.id != whole.id and len(limited.experiences[1].train) <= 20
    tags = limited.experiences[1].tags
    assert tags is not None
    absent = int((~tags.any(0)).sum())
    said = [note for note in limited.dataset.notes if "have no training images" in note]
    assert (len(said) == 1 and said[0].startswith(f"voc: {absent} of 20 classes")) if absent else not said
    few = build(declared(data), train_per_class=0.01, test_per_class=0.01)
    assert [each.name for each in few.experiences] == ["grey", "voc"]


def test_skip_leaves_them_out_and_names_them(data: Path) -> None:
    written("voc_2007", data)
    path = declared(data)
    stream = build(path, multi_label="skip")
    assert [group.name for group in stream.groups] == ["grey"] and stream.options["multi_label"] == "skip"
    assert "multi_label" not in build(path).options, "records of other streams stay as they were"
    assert without_multi_label(load(path)).omitted == ("voc (multi-label)",)
    assert build(declared(data, GREY)).id == stream.id
    with pytest.raises(UsageError, match="leaves no task of mixed"):
        build(declared(data, VOC), multi_label="skip")


def test_they_are_known_before_they_are_read(data: Path) -> None:
    path = str(declared(data))
    assert TomlFile.multi_label_of(TomlFile.Options(), path) == ("voc",)
    assert TomlFile.multi_label_of(TomlFile.Options(missing="skip"), path) == (), "not here, so not learned"
    assert TomlFile.multi_label_of(TomlFile.Options(multi_label="skip"), path) == ()


@pytest.mark.parametrize(
    ("text", "setting", "said"),
    [
        (GREY + VOC, "class-incremental", "'voc' has several classes per image, which needs setting"),
        (GREY + VOC + "tasks = 2\n", "task-incremental", "one task with all its classes; leave out tasks and"),
        (GREY + VOC + 'classes = ["dog", "cat"]\n', "task-incremental", "one task with all its classes"),
    ],
)
def test_what_they_do_not_support_is_refused(data: Path, text: str, setting: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load(declared(data, text, setting))


def test_their_stream_is_no_dataset_of_another(data: Path) -> None:
    written("voc_2007", data)
    outer = data.parent / "outer.toml"
    outer.write_text(HEAD.format("task-incremental").replace("mixed", "outer")
                     + f'[[datasets]]\nname = "all"\nreader = "stream"\nstream = "{declared(data)}"\n')  # fmt: skip
    with pytest.raises(UsageError, match="images of voc have several classes; declare its datasets instead"):
        build(outer)


def test_info_says_which_tasks_they_are(data: Path) -> None:
    written("voc_2007", data)
    path = declared(data)
    rows = {row["group"]: row.get("measure") for row in tasks(build(path), load(path))}
    assert rows == {"grey": None, "voc": "mAP"}
