"""Streams from declarations: tasks, domains, splits, limits and identity."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cl.errors import UsageError
from cl.stream import Evaluate, Train
from cl.testing import check_stream
from tests.help.declared import Write, build


def test_each_task_is_tested_after_it_was_learned_and_all_at_the_end(write: Write) -> None:
    events = build(write()).events
    assert events == (Train(0), Evaluate((0,)), Train(1), Evaluate((1,)), Train(2), Evaluate((0, 1, 2)))
    assert build(write(), evaluate_on="seen").events[3] == Evaluate((0, 1))
    assert build(write(), evaluate_on="all").events[0] == Evaluate((0, 1, 2))


def test_domains_share_classes_by_name(write: Write) -> None:
    stream = build(write("domain-incremental"))
    assert stream.info.class_names == ("dog", "cat", "owl")
    assert [experience.classes for experience in stream.experiences] == [(0, 1), (0, 1, 2), (0, 1, 2)]
    assert [group.task for group in stream.groups] == [0, 1, 2]
    rows = [set(experience.train.tolist()) for experience in stream.experiences]
    assert len(set.union(*rows)) == sum(map(len, rows)) == 160, "no image belongs to two domains"
    # A row is where its pixels are: images of the domain that needs no resizing are found under its own rows.
    view = stream.view(1)
    assert view.seen == (0, 1, 2) and sorted(view.train.labels.tolist()) == [0] * 20 + [1] * 20 + [2] * 20


def test_rows_of_a_domain_hold_its_own_images(write: Write, tmp_path: Path) -> None:
    stream = build(write("domain-incremental"))
    with np.load(tmp_path / "data" / "colour.npz") as original:
        wanted = {image.tobytes() for image in original["images"][original["split"] == 1]}
    rows, _, owners = stream.test_rows(range(3))
    found = np.asarray(stream.dataset.test.pixels)[rows[owners == 1]]
    assert {image.tobytes() for image in found} == wanted


def test_domains_that_are_only_learned_or_only_tested(write: Write) -> None:
    only = {
        "grey": 'splits = "train-only"\n',
        "colour": 'splits = "test-only"\nclasses = ["dog", "cat"]\n',
        "large": "",
    }
    path = write("domain-incremental", tables=only)
    stream = build(path)
    assert [len(experience.train) for experience in stream.experiences] == [40, 60], "grey's and large's"
    assert [(group.name, group.task, len(group.rows["test"])) for group in stream.groups] == [
        ("colour", 0, 8),
        ("large", 1, 12),
    ]
    assert [event.groups for event in stream.events if isinstance(event, Evaluate)] == [(0,), (0, 1)]
    assert stream.info.class_names == ("dog", "cat", "owl"), "in the order of learning"
    held = build(path, val_fraction=0.25)
    assert [len(experience.val) for experience in held.experiences] == [10, 15]
    assert all("val" not in group.rows for group in held.groups if group.name == "colour")
    check_stream(stream)


def test_a_class_that_is_tested_must_be_learned(write: Write) -> None:
    with pytest.raises(UsageError, match="Class 'owl' of colour is tested, and no dataset trains it"):
        build(write("domain-incremental", tables={"grey": "", "colour": 'splits = "test-only"\n'}))


@pytest.mark.parametrize(
    ("setting", "more", "tables", "message"),
    [
        ("task-incremental", "", {"grey": 'splits = "test-only"\n', "large": ""}, "grey' is test-only, which needs"),
        ("domain-incremental", 'splits = "train-only"\n', {"grey": ""}, "is a rule for single datasets"),
        (
            "domain-incremental",
            "",
            {"grey": 'splits = "train-only"\n'},
            "every dataset is train-only, so there is nothing",
        ),
        ("domain-incremental", "", {"grey": 'splits = "test-only"\n'}, "nothing to learn"),
    ],
)
def test_what_is_only_tested_needs_others(
    write: Write, setting: str, more: str, tables: dict[str, str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        build(write(setting, more, tables))


def test_class_incremental_tasks_of_one_dataset(write: Write) -> None:
    stream = build(write("class-incremental", tables={"grey": "", "colour": "tasks = 2\n"}))
    assert [group.name for group in stream.groups] == ["grey", "colour-1", "colour-2"]
    assert [len(experience.classes) for experience in stream.experiences] == [2, 2, 1]
    assert stream.events[-1] == Evaluate((0, 1, 2)) and stream.events[1] == Evaluate((0,))


def test_a_subset_of_classes_in_its_own_order(write: Write) -> None:
    stream = build(write(tables={"large": 'classes = ["cat", "dog"]\n'}))
    assert stream.info.class_names == ("large/cat", "large/dog") and len(stream.dataset.train) == 40


def test_nevis_splits_are_disjoint_cover_and_repeat(write: Write, tmp_path: Path) -> None:
    (tmp_path / "data" / "again.npz").write_bytes((tmp_path / "data" / "grey.npz").read_bytes())
    stream = build(write(more='splits = "nevis"\n', tables={"grey": "", "colour": "", "again": ""}))
    sizes = [
        (len(e.train), len(e.val), len(g.rows["dev_test"]))
        for e, g in zip(stream.experiences, stream.groups, strict=True)
    ]
    assert sizes == [(28, 6, 6), (42, 9, 9), (28, 6, 6)], "70, 15 and 15 % of each class"
    held = [rows for e in stream.experiences for rows in (e.train, e.val)]
    assert len(np.unique(np.concatenate(held))) == len(stream.dataset.train) == sum(map(len, held))
    tested = [rows for group in stream.groups for split, rows in group.rows.items() if split != "val"]
    assert len(np.unique(np.concatenate(tested))) == len(stream.dataset.test) == sum(map(len, tested))
    one, two = (np.asarray(stream.dataset.train.pixels)[stream.experiences[i].train] for i in (0, 2))
    assert {image.tobytes() for image in one} == {image.tobytes() for image in two}


def test_dev_test_is_evaluated_while_developing(write: Write) -> None:
    path = write(more='splits = "nevis-halves"\n')
    stream = build(path, split="dev_test")
    assert stream.split == "dev_test" and stream.events[1] == Evaluate((0,), "dev_test")
    assert [len(group.rows["dev_test"]) for group in stream.groups] == [4, 6, 6]
    assert stream.id != build(path).id
    with pytest.raises(UsageError, match="dataset grey of three has no such split"):
        build(write(), split="dev_test")


def test_limits_and_held_out_images(write: Write) -> None:
    stream = build(write(), train_per_class=5, test_per_class=0.5, val_fraction=0.2)
    assert [len(experience.train) for experience in stream.experiences] == [8, 12, 12]
    assert [len(experience.val) for experience in stream.experiences] == [2, 3, 3]
    assert [len(group.rows["test"]) for group in stream.groups] == [4, 6, 6]


@pytest.mark.parametrize("setting", ["class-incremental", "task-incremental", "domain-incremental"])
def test_the_conformance_checks_pass(write: Write, setting: str) -> None:
    check_stream(str(write(setting, more='splits = "nevis"\n')))


GOLDEN = {
    "task-incremental": "7fbc14c7b46322288e695f1ec823439f31d36d6ae7c92cc94d75f3f7439044b5",
    "domain-incremental": "6a39d3d27bd24e625b5fb9ba1dfcafa4aa7e4fc6d951a95fd471bcf6c5ddc3f6",
}


@pytest.mark.parametrize("setting", list(GOLDEN))
def test_the_identity_is_the_same_everywhere(write: Write, setting: str) -> None:
    assert build(write(setting, more='splits = "nevis"\n'), order="python").id == GOLDEN[setting]


def test_another_process_builds_the_same_stream(write: Write) -> None:
    path = write(more='splits = "nevis"\n')
    code = (
        "import sys; from cl.streams.toml_file import TomlFile as T;"
        "s = T().build(T.Options(), order_seed=1, data_seed=2, argument=sys.argv[1]);"
        "print(s.id, s.experiences[1].train.sum())"
    )
    found = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True).stdout
    stream = build(path)
    assert found.split() == [stream.id, str(stream.experiences[1].train.sum())]
