"""A finished learner in use: it answers files as its run answered the same images."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cl
from cl.data.damaged import DamagedImages
from cl.errors import UsageError
from cl.records.predictions import read_predictions
from cl.running.build import build_stream
from cl.running.learner import Learner
from cl.strategy import Inputs, Strategy
from cl.stream import StreamInfo, View
from tests.help.image_folders import tree
from tests.help.small_runs import OPTIONS

pytestmark = pytest.mark.usefixtures("isolated")


@pytest.fixture
def run_of_files(tmp_path: Path) -> cl.RunResult:
    """A run on a folder with train/ and test/, of images of 12 x 10 pixels, read at 8 x 8."""
    tree(tmp_path / "images" / "train", dict.fromkeys("abcd", 6))
    tree(tmp_path / "images" / "test", dict.fromkeys("abcd", 3))
    options = {"stream.size": 8, "stream.tasks": 2, "backbone.image_size": 32}
    return cl.run(
        "simplecil", f"folder:{tmp_path / 'images'}", backbone="test_vit@random", options=options, save_learner=True
    )


def test_files_get_the_answers_that_the_evaluation_recorded(run_of_files: cl.RunResult, tmp_path: Path) -> None:
    learner = cl.load_learner(run_of_files.folder)
    found = learner.predict(tmp_path / "images" / "test")
    recorded = read_predictions(run_of_files.folder / "predictions.npz")
    stream = build_stream(cl.make_plan(config_file=run_of_files.folder / "config.toml"))
    store = stream.dataset.test
    of_store = {bytes(store.pixels[row]): answer for row, answer in zip(
        recorded.rows, recorded.prediction["cil_seen"][-1], strict=True
    )}  # fmt: skip
    names = list(map(Path, found.names))
    assert len(found) == 12 and names == sorted(tmp_path.glob("images/test/*/*.png"))
    for path, position in zip(names, found.positions, strict=True):
        from cl.data.images import decode_resized

        assert of_store[bytes(decode_resized(path, 8))] == position
    assert found.classes == [found.class_names[place] for place in found.positions]
    assert next(iter(found)) == (found.names[0], found.classes[0], found.probabilities[0].max())
    pixels = torch.from_numpy(np.asarray(store.pixels).transpose(0, 3, 1, 2).copy())
    raw = learner.predict_images(pixels).double().softmax(1).numpy()
    assert np.array_equal(learner.predict(pixels).probabilities, raw)
    for wrong in (0, "a", 1.5, None):
        with pytest.raises(UsageError, match="The number of classes must be "):
            found.top(wrong)
    assert len(found.top(3)[0]) == 3 and found.top(9)[0][0][1] >= found.top(9)[0][3][1]


def test_a_task_restricts_the_answers_to_its_classes(run_of_files: cl.RunResult, tmp_path: Path) -> None:
    learner = run_of_files.learner
    assert learner.task_names == ("task0", "task1") and learner.tasks_learned == 2
    by_name, by_index = (learner.predict(tmp_path / "images" / "test", task) for task in ("task1", 1))
    assert set(by_name.positions) <= {2, 3} and np.array_equal(by_name.probabilities, by_index.probabilities)
    assert by_name.probabilities.sum(1) == pytest.approx(1) and not by_name.probabilities[:, :2].any()
    assert len(by_name.top(4)[0]) == 2  # a class that cannot be answered is not among the likeliest
    with pytest.raises(UsageError, match=r"knows no task 'array\(\[0, 1\]\)'"):
        learner.predict(tmp_path / "images" / "test", np.array([0, 1]))  # type: ignore[arg-type]
    for wrong in ("task2", 2, -1):
        with pytest.raises(UsageError, match=rf"knows no task '{wrong}'.* It knows: 0 \(task0\), 1 \(task1\)\.$"):
            learner.predict(tmp_path / "images" / "test", wrong)
    assert learner.told("1", option=True) == learner.told("task0") == learner.told(0)
    assert learner.told("task1", option=True) == learner.told(1)
    for wrong in ("0", "3"):
        with pytest.raises(UsageError, match=rf"knows no task '{wrong}'\. It knows: 1 \(task0\), 2 \(task1\)\.$"):
            learner.told(wrong, option=True)


def test_all_damaged_files_are_named_or_left_out(run_of_files: cl.RunResult, tmp_path: Path) -> None:
    learner, root = run_of_files.learner, tmp_path / "images" / "test"
    expected = learner.predict(root)
    for name in ("a/1.png", "c/0.png"):
        (root / name).write_text("no image")
    with pytest.raises(DamagedImages, match=r"Cannot read 2 images: .*a/1\.png \(it is .*c/0\.png .*skip_damaged=True"):
        learner.predict(root)
    found = learner.predict(root, skip_damaged=True)
    assert [Path(each) for each in found.skipped] == [root / "a" / "1.png", root / "c" / "0.png"]
    kept = [row for row, name in enumerate(expected.names) if name not in found.skipped]
    assert len(kept) == 10 and found.names == tuple(expected.names[row] for row in kept)
    assert np.array_equal(found.probabilities, expected.probabilities[kept])
    nothing = learner.predict([root / "a" / "1.png"], skip_damaged=True)
    assert len(nothing) == 0 and nothing.classes == [] and nothing.top(2) == [] and len(nothing.skipped) == 1


def test_it_is_the_strategy_too(run_of_files: cl.RunResult) -> None:
    learner = cl.load_learner(run_of_files.folder)
    assert learner.info.n_classes == 4 and learner.prototypes.shape[0] == 4
    pixels = torch.zeros(2, 3, 8, 8, dtype=torch.uint8)
    with torch.no_grad():
        assert torch.equal(learner.predict(Inputs(pixels)), learner.predict_images(pixels))
    assert repr(copy.copy(learner)) == "Learner(SimpleCIL, 4 classes)"
    (run_of_files.folder / "record.json").unlink()
    alone = cl.load_learner(run_of_files.folder)  # no record: no tasks, and all columns
    assert alone.task_names == () and alone.predict(pixels).probabilities.shape == (2, 4)


class Scores(Strategy):
    """Scores that grow with the class and tell the task; all columns from the start."""

    def setup(self, info: StreamInfo) -> None:
        self.width = info.n_classes

    def learn(self, view: View) -> None:
        pass

    def predict(self, inputs: Inputs, task: int | None = None) -> torch.Tensor:
        told = -1.0 if task is None else float(task)
        return torch.arange(self.width).float().expand(len(inputs), -1) + told


def test_classes_that_were_not_seen_are_no_answer() -> None:
    cl.registry.strategies.register("scores", Scores)
    try:
        options: dict[str, Any] = {**OPTIONS, "stream.tasks": 5}
        result = cl.run("scores", "split-digits", backbone="test_vit@random", options=options, max_tasks=2)
        found = result.learner.predict(np.zeros((1, 8, 8), np.uint8))
        assert found.positions.tolist() == [3] and found.probabilities.shape == (1, 4)
        assert result.learner.tasks_learned == 2 and result.learner.task_names == ("task0", "task1")
    finally:
        cl.registry.strategies.unregister("scores")


def test_a_method_with_parts_for_each_task_must_be_told_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scores, "rules", ("til_oracle",))
    cl.registry.strategies.register("scores", Scores)
    try:
        result = cl.run("scores", "split-digits", backbone="test_vit@random", options=OPTIONS, save_learner=True)
        pixels = np.zeros((1, 8, 8), np.uint8)
        own = r"told the task of every image \(scores has parts of its own for each task and does not choose among them"
        with pytest.raises(UsageError, match=rf"{own}\); give task, one of: 0 \(task0\), 1 \(task1\)\.$"):
            result.learner.predict(pixels)
        assert result.learner.predict(pixels, 0).classes == [result.class_names[4]]
        (result.folder / "record.json").unlink()
        with pytest.raises(UsageError, match="the record of its run, which names the tasks, is missing or damaged"):
            cl.load_learner(result.folder).predict(pixels)
    finally:
        cl.registry.strategies.unregister("scores")


def test_at_most_twenty_tasks_are_named() -> None:
    groups = [{"name": f"t{task}", "classes": [0], "task": task} for task in range(30)]
    stream = {"setting": "task-incremental", "groups": groups}
    result = {"strategy": {"name": "s"}, "stream": stream, "rows": [{"task": 29}], "accuracy": {"til_oracle": {}}}
    strategy: Any = Scores.__new__(Scores)
    strategy.info = StreamInfo("toy", 30, 1, (1,) * 30, ("a",), (1, 8, 8))
    with pytest.raises(UsageError, match=r"19 \(t18\), 20 \(t19\) and 10 more\.$"):
        Learner(strategy, result).told("x", option=True)


def test_a_task_incremental_learner_must_be_told_the_task() -> None:
    class Network:
        rules = ("til_oracle",)

    result = {
        "strategy": {"name": "scores"},
        "stream": {
            "setting": "task-incremental",
            "groups": [
                {"name": "birds", "classes": [0, 1], "task": 0},
                {"name": "cars", "classes": [2, 3], "task": 1},
                {"name": "signs", "classes": [4], "task": 2, "measure": "mAP"},
            ],
        },
        "rows": [{"task": 2, "split": "test"}],
        "accuracy": {"til_oracle": {}},
    }
    strategy: Any = Scores.__new__(Scores)
    strategy.info = StreamInfo("toy", 3, 5, (2, 2, 1), tuple("abcde"), (1, 8, 8))
    strategy.width = 5
    strategy.trainer = type("Trainer", (), {"device": torch.device("cpu")})
    strategy.backbone = type("Backbone", (), {"tf32": False})
    learner = Learner(strategy, result)
    pixels = np.zeros((1, 8, 8), np.uint8)
    with pytest.raises(UsageError, match=r"its stream is task-incremental\); give task, one of: 0 \(birds\), 1 "):
        learner.predict(pixels)
    with pytest.raises(UsageError, match=r"give --task, one of: 1 \(birds\), 2 \(cars\), 3 \(signs\)\.$"):
        learner.told(None, option=True)
    with pytest.raises(UsageError, match="task signs may have several classes"):
        learner.predict(pixels, "signs")
    with pytest.raises(UsageError, match=r"knows no task 'car'\. Did you mean cars\?"):
        learner.predict(pixels, "car")
    assert learner.predict(pixels, "birds").classes == ["b"] and learner.predict(pixels, 1).classes == ["d"]
    assert learner.choices(torch.zeros(1, 1, 8, 8, dtype=torch.uint8), 1, (2, 3))[0, 3] == 4  # the task was told
