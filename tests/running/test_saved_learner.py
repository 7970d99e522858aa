"""A finished run's learner, kept in its folder: the same predictions later, without the data it learned from."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import cl
from cl import registry
from cl.cli import call
from cl.errors import DataError, StorageError, UsageError
from cl.running import execution
from cl.strategy import Inputs, Strategy
from cl.stream import StreamInfo, View
from cl.training import state

OPTIONS: dict[str, Any] = {"stream.tasks": 2, "stream.train_per_class": 6, "stream.test_per_class": 4}
OPTIONS |= {"backbone.image_size": 32}
SMALL = ["--stream", "split-digits", "--backbone", "test_vit@random", "--seed", "7"]
SMALL += [text for key, value in OPTIONS.items() for text in ("--set", f"{key}={value}")]
COMPUTED: list[int] = []


class Keys(Strategy):
    """A learner whose `setup` computes something long, and whose later parts depend on it."""

    def setup(self, info: StreamInfo) -> None:
        assert isinstance(info.class_names, tuple)
        self.count = torch.tensor(0)
        self.names = self.compute("names", lambda: list(info.class_names))
        self.compute("keys", self._draw)
        self.values = torch.zeros(int(self.count), info.n_classes)

    def _draw(self) -> None:
        COMPUTED.append(1)
        self.count, self.keys = torch.tensor(3), torch.randn(3, self.backbone.dim)

    def learn(self, view: View) -> None:
        self.values[:, list(view.classes)] += torch.randn(3, len(view.classes))

    def predict(self, inputs: Inputs, task: int | None = None) -> torch.Tensor:
        return (inputs.encode(self.backbone) @ self.keys.T).softmax(1) @ self.values


@pytest.fixture(autouse=True)
def keys() -> Iterator[None]:
    registry.strategies.register("keys", Keys)
    COMPUTED.clear()
    yield
    registry.strategies.unregister("keys")


def run(strategy: str, *, save_learner: bool = True, existing: str = "only-missing", **options: Any) -> cl.RunResult:
    return cl.run(
        strategy, "split-digits", backbone="test_vit@random", seed=7, options={**OPTIONS, **options},
        save_learner=save_learner, existing=existing,
    )  # fmt: skip


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (9, 1, 8, 8), dtype=np.uint8)


@pytest.mark.parametrize(
    ("strategy", "options"),
    [
        ("slca", {"epochs": 1, "ca_epochs": 1, "ca_samples": 8}),
        ("simplecil", {}),
        ("finetune", {"epochs": 1}),
        ("joint", {"epochs": 1, "form": "oracle"}),
        ("keys", {}),
    ],
)
def test_a_saved_learner_predicts_what_the_learner_did(
    strategy: str, options: dict[str, Any], pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(strategy, **options)
    before, computed = result.learner.predict_images(pixels), len(COMPUTED)

    monkeypatch.setattr(execution, "build_stream", lambda *_: pytest.fail("the stream was built"))
    torch.manual_seed(5)
    drawn = torch.rand(3)
    torch.manual_seed(5)
    learner = cl.load_learner(result.folder)
    assert torch.equal(torch.rand(3), drawn)  # loading does not reseed its caller
    assert learner is not result.learner and torch.equal(learner.predict_images(pixels), before)
    assert len(COMPUTED) == computed  # what setup() computed was read, not computed
    assert learner.info == result.learner.info and learner.info.class_names == result.class_names
    assert_same_state(learner.get_state(), result.learner.get_state())

    again = run(strategy, **options)  # complete already
    assert torch.equal(again.learner.predict_images(pixels), before)
    assert again.learner is again.learner


def assert_same_state(left: Any, right: Any) -> None:
    """Both states, tensor by tensor."""
    assert type(left) is type(right)
    if isinstance(left, torch.Tensor):
        assert torch.equal(left, right)
    elif isinstance(left, dict):
        assert set(left) == set(right)
        for key in left:
            assert_same_state(left[key], right[key])
    elif isinstance(left, list):
        assert len(left) == len(right)
        for one, other in zip(left, right, strict=True):
            assert_same_state(one, other)
    else:
        assert left == right


def test_keeping_the_learner_is_no_part_of_the_run_s_identity() -> None:
    plain = run("simplecil", save_learner=False)
    assert not (plain.folder / "learner.safetensors").exists()
    kept = run("simplecil", existing="always")
    assert kept.folder == plain.folder and (kept.folder / "learner.safetensors").is_file()
    assert kept.record["result_sha256"] == plain.record["result_sha256"]
    assert kept.record["config_hash"] == plain.record["config_hash"]
    run("simplecil", save_learner=False, existing="always")
    assert not (kept.folder / "learner.safetensors").exists()  # the old learner is not left to a new run


def test_a_complete_run_without_its_learner_says_what_to_do(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run("simplecil", save_learner=False)
    assert first.learner is not None  # it has just learned
    result = run("simplecil")
    assert "its learner was not kept; run again with --save-learner --existing always" in caplog.text
    with pytest.raises(UsageError, match=r"keeps no learner; .*save_learner=True, existing='always'"):
        _ = result.learner
    with pytest.raises(UsageError, match="holds no run"):
        cl.load_learner(result.folder.parent)
    assert call(["run", "-s", "simplecil", *SMALL, "--save-learner", "--progress", "none"]) == 0
    assert "its learner was not kept" in capsys.readouterr().err
    assert call(["run", "-s", "simplecil", *SMALL, "--save-learner", "--existing", "always", "-q"]) == 0
    assert result.folder == cl.resume(result.folder).folder and cl.load_learner(result.folder).ready


@pytest.mark.parametrize("where", ["in the last task", "before the learner is written", "for want of space"])
def test_a_resumed_run_keeps_the_learner_too(where: str, monkeypatch: pytest.MonkeyPatch, pixels: np.ndarray) -> None:
    whole = run("keys")
    expected = whole.learner.predict_images(pixels)
    shutil.rmtree(whole.folder)
    with monkeypatch.context() as patch:
        if where == "in the last task":
            learn = Keys.learn
            patch.setattr(Keys, "learn", lambda self, view: stop() if view.last else learn(self, view))
        else:
            error = KeyboardInterrupt if where.startswith("before") else StorageError
            patch.setattr("cl.running.saved_learner.state.save", partial(refuse, error))
        with pytest.raises((KeyboardInterrupt, StorageError)):
            run("keys")
    record = json.loads((whole.folder / "record.json").read_text())
    assert record["status"] != "complete" and not (whole.folder / "learner.safetensors").exists()
    resumed = cl.resume(whole.folder)  # config.toml says that the learner is to be kept
    assert resumed.status == "complete" and resumed.record["result_sha256"] == whole.record["result_sha256"]
    assert torch.equal(cl.load_learner(whole.folder).predict_images(pixels), expected)


def stop() -> None:
    raise KeyboardInterrupt


SAVE = state.save


def refuse(error: type[BaseException], path: Path, value: Any, **more: Any) -> None:
    """Write everything but the learner."""
    if path.name == "learner.safetensors":
        raise error("the learner is not written")
    SAVE(path, value, **more)


def test_resume_can_be_told_to_keep_the_learner(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Keys, "learn", lambda self, view: stop())
        with pytest.raises(KeyboardInterrupt):
            run("keys", save_learner=False)
    folder = next(tmp_path.rglob("config.toml")).parent
    assert call(["resume", str(folder), "--save-learner", "-q"]) == 0
    assert cl.load_learner(folder).ready


def test_a_learner_without_its_strategy_code_or_weights_is_refused(pixels: np.ndarray, tmp_path: Path) -> None:
    folder = run("keys").folder
    registry.strategies.unregister("keys")
    with pytest.raises(UsageError, match=r"of strategy 'keys' \(registered at run time\), which is not here; install"):
        cl.load_learner(folder)

    class Other(Keys):
        def setup(self, info: StreamInfo) -> None:
            self.count = torch.nn.Linear(2, 2)  # type: ignore[assignment]

    registry.strategies.register("keys", Other)
    changed = pytest.warns(UserWarning, match="The code of keys has changed since")
    with changed, pytest.raises(DataError, match="does not fit the code of keys as it is now"):
        cl.load_learner(folder)
    registry.strategies.register("keys", Keys, replace=True)
    cl.load_learner(folder)

    config = folder / "config.toml"
    text = config.read_text()
    config.write_text(text.replace("seed = 7", "seed = 8"))  # a random backbone with other weights
    with pytest.raises(DataError, match=r"other weights .*\(weights_sha256 random-7, here random-8\)"):
        cl.load_learner(folder)
    config.write_text(text.replace('"backbone.normalize" = "weights"', '"backbone.normalize" = "cifar100"'))
    with pytest.raises(DataError, match=r"other weights or preprocessing .*\(input "):
        cl.load_learner(folder)
    config.write_text(text)

    path = folder / "learner.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"learner\.safetensors is damaged"):
        cl.load_learner(folder)


def test_changed_code_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = run("keys").folder
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cl.load_learner(folder)
    monkeypatch.setattr(registry.strategies, "source_sha256", lambda name: "0" * 64)
    with pytest.warns(UserWarning, match="The code of keys has changed since"):
        cl.load_learner(folder)


def test_the_images_may_be_gone_and_the_folder_moved(tmp_path: Path, pixels: np.ndarray) -> None:
    from PIL import Image

    rng = np.random.default_rng(1)
    for split in ("train", "test"):
        for name in ("ant", "bee"):
            folder = tmp_path / "images" / split / name
            folder.mkdir(parents=True)
            for i in range(4):
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(folder / f"{i}.png")
    options = {"stream.tasks": 2, "backbone.image_size": 32}
    stream = f"folder:{tmp_path / 'images'}"
    result = cl.run("simplecil", stream, backbone="test_vit@random", options=options, save_learner=True)
    expected = result.learner.predict_images(pixels)
    shutil.rmtree(tmp_path / "images")
    moved = shutil.move(result.folder, tmp_path / "moved")
    learner = cl.load_learner(moved)
    assert torch.equal(learner.predict_images(pixels), expected)
    assert set(learner.info.class_names) == {"ant", "bee"}


def test_the_learner_of_another_run_is_refused() -> None:
    few = {**OPTIONS, "stream.train_per_class": 5}
    folders = [
        cl.run(
            "simplecil", "split-digits", backbone="test_vit@random", seed=seed, options=few, save_learner=True
        ).folder
        for seed in (1, 2)
    ]
    shutil.copy(folders[0] / "learner.safetensors", folders[1] / "learner.safetensors")
    with pytest.raises(DataError, match="is the learner of another run than the record next to it; run again with"):
        cl.load_learner(folders[1])
    assert cl.load_learner(folders[0]).info.n_classes == 10
