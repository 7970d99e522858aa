"""A finished learner goes on: for methods that are exact it is the learner of the whole stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cl
from cl import registry
from cl.errors import DataError, Incompatible, UsageError
from cl.running.build import build_stream
from cl.running.continuation import joined, rest_of
from cl.strategy import Inputs, Strategy
from cl.stream import Evaluate, StreamInfo, Train, View
from cl.training import state
from tests.help.image_folders import folder, save, tree

pytestmark = pytest.mark.usefixtures("isolated")

BACKBONE = "test_vit@random"
DIGITS: dict[str, Any] = {"stream.tasks": 5, "stream.train_per_class": 12, "stream.test_per_class": 6}
DIGITS |= {"backbone.image_size": 32}
EXACT: list[tuple[str, dict[str, Any]]] = [
    ("simplecil", {}),
    ("ranpac", {"tuning": "none", "width": 200}),
    ("rls", {}),
]
exact = pytest.mark.parametrize(("strategy", "options"), EXACT, ids=[name for name, _ in EXACT])


def digits(strategy: str, options: dict[str, Any], **arguments: Any) -> cl.RunResult:
    return cl.run(
        strategy, "split-digits", backbone=BACKBONE, options={**DIGITS, **options}, seed=7, save_learner=True,
        **arguments,
    )  # fmt: skip


def equal(left: Any, right: Any) -> bool:
    """Whether two states are equal bit for bit."""
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(equal, left, right))
    return bool(left == right)


def last_row(result: cl.RunResult) -> Any:
    rule = next(iter(result.record["result"]["accuracy"]))
    return result.record["result"]["accuracy"][rule]["correct"][-1]


def write(path: Path, name: str, groups: dict[str, Path]) -> str:
    text = f'name = "{name}"\nsetting = "class-incremental"\nsize = 8\n'
    for each, where in groups.items():
        text += f'[[datasets]]\nname = "{each}"\nreader = "folder"\npath = "{where}"\ntasks = 2\n'
    (path / f"{name}.toml").write_text(text)
    return str(path / f"{name}.toml")


@pytest.fixture
def declared(tmp_path: Path) -> tuple[str, str, str]:
    """Stream files: of two datasets, two tasks each, of the first of them, and of the second."""
    one, two = tmp_path / "animals", tmp_path / "things"
    for root, names in ((one, "abcd"), (two, "efgh")):
        for split, count in (("train", 9), ("test", 4)):
            for number, name in enumerate(names):
                for index in range(count):
                    save(root / split / name / f"{index}.png", seed=hash_of(root.name, split, number, index))
    both = {"animals": one, "things": two}
    return (
        write(tmp_path, "whole", both),
        write(tmp_path, "first", {"animals": one}),
        write(tmp_path, "second", {"things": two}),
    )


def hash_of(*parts: Any) -> int:
    from cl.random import derive

    return int(derive(0, *map(str, parts))) % 2**31


@exact
def test_new_tasks_after_a_finished_run_equal_the_whole_stream_at_once(
    strategy: str, options: dict[str, Any], declared: tuple[str, str, str]
) -> None:
    whole, first, second = declared
    given = {**options, "backbone.image_size": 32}
    arguments: dict[str, Any] = {"backbone": BACKBONE, "seed": 7, "save_learner": True}
    expected = cl.run(strategy, whole, options=given, **arguments)
    before = cl.run(strategy, first, options=given, **arguments)
    found = cl.run(stream=second, from_run=before.folder, save_learner=True)
    assert equal(found.learner.get_state(), expected.learner.get_state())
    assert found.class_names == expected.class_names  # known classes keep their positions
    assert last_row(found) == last_row(expected) and len(last_row(found)) == 4
    pixels = np.random.default_rng(0).integers(0, 256, (9, 3, 8, 8), dtype=np.uint8)
    assert torch.equal(found.learner.predict_images(pixels), expected.learner.predict_images(pixels))
    assert not equal(found.learner.get_state(), before.learner.get_state())


@exact
def test_the_rest_of_a_stream_equals_the_whole_stream_at_once(strategy: str, options: dict[str, Any]) -> None:
    expected = digits(strategy, options)
    before = digits(strategy, options, max_tasks=3)
    found = cl.run(from_run=before.folder)
    assert equal(found.learner.get_state(), expected.learner.get_state())
    matrix = expected.record["result"]["accuracy"]["cil_seen"]["correct"]
    assert found.record["result"]["accuracy"]["cil_seen"]["correct"] == matrix[2:]
    assert [row["task"] for row in found.record["result"]["rows"]] == [2, 3, 4]
    assert not found.record["result"]["limited"] and before.record["result"]["limited"]


def test_a_trained_method_goes_on_with_its_stream_as_after_a_kill() -> None:
    options = {"epochs": 2, "stream.tasks": 2}
    expected = digits("finetune", options)
    found = cl.run(from_run=digits("finetune", options, max_tasks=1).folder)
    assert equal(found.learner.get_state(), expected.learner.get_state())


def test_a_run_branches_from_a_task_that_was_kept() -> None:
    before = digits("simplecil", {}, save_every_task=True)
    kept = sorted(path.name for path in before.folder.glob("learner*"))
    assert kept == [
        "learner-after-1.safetensors",
        *(f"learner-after-{n}.safetensors" for n in range(2, 6)),
        "learner.safetensors",
    ]
    found = cl.run(from_run=before.folder, from_task=2)
    assert equal(found.learner.get_state(), before.learner.get_state())
    assert [row["task"] for row in found.record["result"]["rows"]] == [1, 2, 3, 4]
    other = cl.run(from_run=before.folder, from_task=3)
    assert other.folder != found.folder
    with pytest.raises(UsageError, match="All 5 tasks of split-digits are learned; give new tasks with --stream"):
        cl.run(from_run=before.folder)


def test_the_record_says_what_it_continues_and_a_change_is_noticed() -> None:
    before = digits("simplecil", {}, max_tasks=3)
    found = cl.run(from_run=before.folder, save_learner=True)
    said = found.record["result"]["continues"]
    assert said["result_sha256"] == before.record["result_sha256"] and said["tasks"] == 3 and said["rest"]
    again = cl.run(config_file=found.folder / "config.toml")  # the same run
    assert again.folder == found.folder and not again.executed
    last = digits("simplecil", {})
    last_options = last.record["result"]["stream"]["options"]
    assert found.record["result"]["stream"]["options"] == {**last_options, "learned": 3}
    assert found.record["result"]["stream"]["id"] != last.record["result"]["stream"]["id"]
    file = before.folder / "learner.safetensors"
    whole = file.read_bytes()
    saved = state.load(file)
    state.save(file, {**saved, "state": {**saved["state"], "prototypes": saved["state"]["prototypes"] * 2}})
    with pytest.raises(DataError, match=r"the learner that it continues .* has changed since this run was completed"):
        cl.run(from_run=before.folder)
    file.unlink()
    assert cl.resume(found.folder).record["result_sha256"] == found.record["result_sha256"]  # complete all the same
    file.write_bytes(whole)
    assert not cl.run(from_run=before.folder).executed


def test_a_continued_run_is_continued(declared: tuple[str, str, str], tmp_path: Path) -> None:
    _, first, second = declared
    options = {"backbone.image_size": 32}
    before = cl.run("simplecil", first, backbone=BACKBONE, options=options, save_learner=True)
    middle = cl.run(stream=second, from_run=before.folder, save_learner=True, options={"stream.order": "natural"})
    third = tree(tmp_path / "third", {"x": 5, "y": 5})
    found = cl.run(stream=f"folder:{third}", from_run=middle.folder, options={"stream.tasks": 1})
    assert len(found.class_names) == 10 and found.class_names[:8] == middle.class_names
    assert found.record["result"]["stream"]["n_tasks"] == 5 and len(last_row(found)) == 5
    names = [group["name"] for group in found.record["result"]["stream"]["groups"]]
    assert names == ["animals-1", "animals-2", "things-1", "things-2", "task4"]


def test_what_must_stay_and_what_cannot_be_joined(declared: tuple[str, str, str], tmp_path: Path) -> None:
    before = digits("simplecil", {}, max_tasks=3)
    cases: list[tuple[dict[str, Any], str]] = [
        ({"strategy": "ranpac"}, "--strategy ranpac differs from the run that is continued"),
        ({"seed": 1993}, "--seed 1993 differs"),
        ({"precision": "bf16"}, "--precision bf16 differs"),
        ({"options": {"backbone.image_size": 64}}, "backbone.image_size=64 differs .*: 32"),
        ({"options": {"stream.tasks": 2}}, "stream.tasks=2 differs"),
        ({"probe": "other"}, "--probe other differs"),
        ({"from_task": 2}, "keeps no learner after task 2, only after 3; choose one, or run it again"),
        ({"config_file": "x.toml"}, "leave --config out"),
        ({"colour": 3}, "There is no option 'colour' of a run"),
    ]
    for arguments, sentence in cases:
        given: dict[str, Any] = {"from_run": before.folder, **arguments}
        with pytest.raises(UsageError, match=sentence):
            cl.run(**given)
    with pytest.raises(UsageError, match="name the run with --from"):
        cl.make_plan("simplecil", "split-digits", from_task=3)
    with pytest.raises(UsageError, match="holds no run to go on from"):
        cl.make_plan(from_run=tmp_path)
    images = tree(tmp_path / "colour", {"x": 5, "y": 5})
    with pytest.raises(UsageError, match="trained on grey images, and those of folder:colour are in colour"):
        cl.run(stream=f"folder:{images}", from_run=before.folder, options={"stream.tasks": 1})
    plain = cl.run("simplecil", "split-digits", backbone=BACKBONE, options=DIGITS, seed=9)
    with pytest.raises(UsageError, match="keeps no learner to go on from; run it again with"):
        cl.make_plan(from_run=plain.folder)


class Preallocated(Strategy):
    """A head for all classes that it is told."""

    def setup(self, info: StreamInfo) -> None:
        self.weights = torch.zeros(info.n_classes, self.backbone.dim)

    def learn(self, view: View) -> None:
        self.weights[list(view.classes)] = 1.0

    def predict(self, inputs: Inputs, task: int | None = None) -> torch.Tensor:
        return inputs.encode(self.backbone) @ self.weights.T


def test_a_method_that_is_made_for_its_first_stream_is_refused(declared: tuple[str, str, str]) -> None:
    _, first, second = declared
    registry.strategies.register("preallocated", Preallocated)
    try:
        options = {"backbone.image_size": 32}
        before = cl.run("preallocated", first, backbone=BACKBONE, options=options, save_learner=True)
        with pytest.raises(Incompatible, match="makes its parts for the 4 classes and 2 tasks"):
            cl.run(stream=second, from_run=before.folder)
        coda = {**options, "epochs": 1, "components": 10, "length": 2}
        before = cl.run("coda-prompt", first, backbone=BACKBONE, options=coda, save_learner=True)
        with pytest.raises(Incompatible, match=r"plans for the number of tasks .*cl\.strategies\.coda_prompt"):
            cl.run(stream=second, from_run=before.folder)
    finally:
        registry.strategies.unregister("preallocated")


def test_streams_join_with_their_images_and_held_out_rows(tmp_path: Path) -> None:
    one = folder(tree(tmp_path / "one", dict.fromkeys("abcd", 10)), tasks=2, val_fraction=0.25)
    two = folder(tree(tmp_path / "two", {"e": 8, "f": 8}), tasks=1, val_fraction=0.25, size=6)
    found = joined(one, two, 1)
    assert found.learned == 1 and found.seen_before == 2 and len(found.experiences) == 2
    assert found.events == (Evaluate((0,)), Train(1), Evaluate((0, 1)))
    assert found.dataset.train.image_shape == (8, 8, 3)
    for task, (stream, own) in enumerate(((one, 0), (two, 0))):
        here, there = found.experiences[task], stream.experiences[own]
        for mine, theirs in ((here.train, there.train), (here.val, there.val)):
            assert len(mine) == len(theirs) > 0
            if stream is one:
                same = found.dataset.train.pixels[mine].tobytes() == stream.dataset.train.pixels[theirs].tobytes()
                assert same
        rows = found.groups[task].rows
        assert np.array_equal(rows["val"], here.val) and len(rows["test"]) == len(stream.groups[own].rows["test"])
        assert set(found.positions[found.dataset.train.labels[here.train]]) == set(here.classes)
    assert found.info.class_names[:2] == one.info.class_names[:2]
    twin = folder(tree(tmp_path / "twin", {found.info.class_names[0]: 8, "f": 8}), tasks=1)
    with pytest.raises(UsageError, match="is one that the learner knows"):
        joined(one, twin, 1)
    with pytest.raises(UsageError, match="All 2 tasks of folder:one are learned"):
        rest_of(one, 2)


def test_images_are_decoded_at_the_size_of_the_learner_s(tmp_path: Path) -> None:
    one, two = tree(tmp_path / "one", {"a": 6, "b": 6}), tree(tmp_path / "two", {"c": 6, "d": 6})
    options = {"stream.size": 10, "stream.tasks": 1, "backbone.image_size": 32}
    before = cl.run("simplecil", f"folder:{one}", backbone=BACKBONE, options=options, save_learner=True)
    plan = cl.make_plan(stream=f"folder:{two}", from_run=before.folder)
    stream = build_stream(plan)
    assert stream.dataset.train.image_shape == (10, 10, 3) and stream.options["size"] == 10
    with pytest.raises(UsageError, match=r"stream\.size=12 is not the 10 pixels of the learner's images"):
        build_stream(cl.make_plan(stream=f"folder:{two}", from_run=before.folder, options={"stream.size": 12}))
