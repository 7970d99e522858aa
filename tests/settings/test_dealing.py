"""Classes that return: disjoint images, test images in the group of the first task, methods and metrics."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import cl
from cl.errors import DataError, Incompatible, UsageError
from cl.plan.plan import make_plan
from cl.records.metrics import metrics_of
from cl.settings.dealing import shares
from cl.settings.long_tailed import long_tailed
from cl.stream import Evaluate
from tests.help.image_folders import folder, tree

TASKS = [["bee", "ant"], ["ant", "cat"], ["bee", "ant"], ["dog", "cat"]]
"""The third task brings no new class."""


@pytest.fixture
def pets(cache: Path, tmp_path: Path) -> Path:
    return tree(tmp_path / "pets", {name: 20 for name in ("ant", "bee", "cat", "dog")})


def tasks_file(tmp_path: Path, tasks: Any = TASKS) -> str:
    (tmp_path / "tasks.json").write_text(json.dumps(tasks))
    return str(tmp_path / "tasks.json")


def test_images_of_a_class_that_returns_are_dealt_in_equal_parts(pets: Path, tmp_path: Path) -> None:
    stream = folder(pets, tasks_file=tasks_file(tmp_path))
    assert stream.setting == "returning class-incremental" and stream.classes_return
    assert stream.info.class_names == ("bee", "ant", "cat", "dog")
    assert [each.classes for each in stream.experiences] == [(0, 1), (1, 2), (0, 1), (2, 3)]
    rows = [each.train for each in stream.experiences]
    assert sorted(np.concatenate(rows).tolist()) == list(range(64)), "each image is learned once"
    labels = [np.bincount(stream.positions[stream.dataset.train.labels[each]], minlength=4).tolist() for each in rows]
    assert np.sum(labels, axis=0).tolist() == [16] * 4 and labels[0] == [8, 6, 0, 0] and labels[3] == [0, 0, 8, 16]
    assert [(group.name, group.classes, group.task) for group in stream.groups] == [
        ("task0", (0, 1), 0), ("task1", (2,), 1), ("task3", (3,), 3)
    ]  # fmt: skip
    assert [event.groups for event in stream.events if isinstance(event, Evaluate)] == [(0,), (0, 1), (0, 1), (0, 1, 2)]


def test_the_data_seed_deals_and_is_part_of_the_identity(pets: Path, tmp_path: Path) -> None:
    from cl.streams.folder import Folder

    options = Folder.Options(size=8, tasks_file=tasks_file(tmp_path))
    one, two = (Folder().build(options, order_seed=1, data_seed=seed, argument=str(pets)) for seed in (1, 2))
    again = Folder().build(options, order_seed=5, data_seed=1, argument=str(pets))
    assert one.id != two.id and one.id == again.id
    assert one.experiences[0].train.tolist() != two.experiences[0].train.tolist()
    assert "tasks_file" not in one.options, "a path of this machine"


def test_a_file_without_returning_classes_is_the_plain_stream(pets: Path, tmp_path: Path) -> None:
    once = folder(pets, tasks_file=tasks_file(tmp_path, [["bee", "ant", "dog"], ["cat"]]))
    (tmp_path / "classes.txt").write_text("bee\nant\ndog\ncat\n")
    same = folder(pets, classes_file=str(tmp_path / "classes.txt"), sizes=(3, 1))
    assert once.setting == "class-incremental" and once.id == same.id
    assert same.id != folder(pets, classes_file=str(tmp_path / "classes.txt"), tasks=2).id


def test_held_out_images_are_dealt_too(pets: Path, tmp_path: Path) -> None:
    stream = folder(pets, tasks_file=tasks_file(tmp_path), split="val")
    held = [each.val for each in stream.experiences]
    every = np.concatenate([*held, *(each.train for each in stream.experiences)])
    assert len(every) == len(set(every.tolist())) == 64
    assert sorted(np.concatenate(held).tolist()) == sorted(
        np.concatenate([group.rows["val"] for group in stream.groups]).tolist()
    )


def test_a_class_with_fewer_images_than_tasks_is_named() -> None:
    rows = [np.arange(2), np.arange(2, 9)]
    with pytest.raises(DataError, match="Class 'ant' is in 3 tasks and has 2 training images; each task needs one"):
        shares(rows, [np.array([0, 1])] + [np.array([0])] * 2, 0, "train", ("ant", "bee"))


def test_methods_that_cannot_learn_it_are_refused_before_data_is_read(pets: Path, tmp_path: Path) -> None:
    options = {"stream.tasks_file": tasks_file(tmp_path)}
    with pytest.raises(Incompatible, match="has classes that return in later tasks, which slca"):
        make_plan("slca", f"folder:{pets}", options=options)
    make_plan(
        "slca", f"folder:{pets}", options={"stream.tasks_file": tasks_file(tmp_path, [["ant", "bee", "cat", "dog"]])}
    )
    with pytest.raises(Incompatible, match="is online"):
        make_plan("ranpac", f"folder:{pets}", options=options, setting=["online"])
    for more, sentence in (
        ({"stream.tasks": 2}, "tasks_file gives the classes of each task; leave tasks"),
        ({"stream.order": "natural"}, "tasks_file gives the order of the classes; leave order"),
        ({"stream.classes_file": "x"}, "Give either classes_file or tasks_file, not both"),
        ({"stream.shots": 1}, "leave either tasks_file or shots out"),
    ):
        with pytest.raises(UsageError, match=sentence):
            folder(pets, **{key.removeprefix("stream."): value for key, value in {**options, **more}.items()})


def test_the_metrics_of_a_run_are_those_of_the_definition(pets: Path, tmp_path: Path, isolated: None) -> None:
    run = cl.run("simplecil", f"folder:{pets}", options={"stream.tasks_file": tasks_file(tmp_path)})
    result = run.record["result"]
    correct, count = result["accuracy"]["cil_seen"]["correct"], result["count"]
    assert count == [8, 4, 4] and [sum(each is not None for each in row) for row in correct] == [1, 2, 2, 3]
    by_row = [np.mean([c / n for c, n in zip(row, count, strict=True) if c is not None]) for row in correct]
    metrics = metrics_of(result)["cil_seen"]
    assert metrics["A_last_task"] == pytest.approx(by_row[-1]) and metrics["A_inc_task"] == pytest.approx(
        np.mean(by_row)
    )
    best = [max(row[group] / count[group] for row in correct[:-1] if row[group] is not None) for group in (0, 1)]
    last = [correct[-1][group] / count[group] for group in (0, 1)]
    assert metrics["F_chaudhry"] == pytest.approx(np.mean(np.subtract(best, last)))
    assert [row["seen"] for row in result["rows"]] == [2, 3, 3, 4]


def test_the_mean_of_a_class_that_returns_is_that_of_all_its_images(pets: Path, tmp_path: Path, isolated: None) -> None:
    tasks = tasks_file(tmp_path)
    split = cl.run("simplecil", f"folder:{pets}", options={"stream.tasks_file": tasks})
    whole = cl.run("simplecil", f"folder:{pets}", options={"stream.tasks": 1})
    right = [each.record["result"]["accuracy"]["cil_seen"]["correct"][-1] for each in (split, whole)]
    assert sum(right[0]) == sum(right[1])


def test_a_returning_stream_may_be_online(pets: Path, tmp_path: Path, isolated: None) -> None:
    options = {"stream.tasks_file": tasks_file(tmp_path), "stream.chunk": 4}
    result = cl.run("ncm", f"folder:{pets}", options=options, setting=["online"]).record["result"]
    assert result["stream"]["setting"] == "online returning class-incremental"


def test_a_returning_stream_may_be_long_tailed(pets: Path, tmp_path: Path) -> None:
    stream = long_tailed(folder(pets, tasks_file=tasks_file(tmp_path)), 4.0, shuffled=False, seed=1)
    sizes = [
        sum(int((stream.dataset.train.labels[each.train] == label).sum()) for each in stream.experiences)
        for label in stream.class_order
    ]
    assert stream.setting == "long-tailed returning class-incremental" and sizes == [16, 10, 6, 4]
