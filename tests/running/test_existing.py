"""What a folder holds already: the same command keeps, repairs or refuses it, and never mixes two runs."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

import cl
from cl.cli import call
from cl.errors import DataError
from cl.plan.plan import load_plan
from cl.progress.base import Observer
from cl.results.store import load_results
from cl.running import existing
from tests.help.image_folders import save, tree

pytestmark = pytest.mark.usefixtures("isolated")

CLASSES = {"ant": 4, "bee": 4, "crab": 4, "dog": 4}
OPTIONS: dict[str, Any] = {"stream.tasks": 2, "backbone.image_size": 32}
FOLDER: dict[str, Any] = {**OPTIONS, "stream.size": 32}
SMALL: dict[str, Any] = {**OPTIONS, "stream.train_per_class": 4, "stream.test_per_class": 4}


class Stop(Observer):
    """Interrupts a run after an event."""

    def event(self, index: int, total: int, text: str) -> None:
        if index == 1:
            raise KeyboardInterrupt


class Heard(Observer):
    """Collects messages."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def message(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    return tree(tmp_path / "animals", CLASSES)


def run(stream: str, *, stop: bool = False, **more: Any) -> Any:
    try:
        more = {"backbone": "test_vit@random", **more}
        return cl.run("simplecil", stream, options=SMALL if stream == "split-digits" else FOLDER, **more)
    except KeyboardInterrupt:
        assert stop
        return None


def add_a_class(root: Path) -> None:
    for index in range(4):
        save(root / "eel" / f"{index}.png", seed=900 + index)


def write_weights(path: Path, factor: float = 1.0) -> None:
    path.parent.mkdir(exist_ok=True)
    model = timm.create_model("test_vit", num_classes=0)
    save_file({key: factor * torch.ones_like(value) for key, value in model.state_dict().items()}, path)


# ------------------------------------------------------------------------------------------- an interrupted run


def test_other_images_are_not_learned_into_an_interrupted_run(animals: Path) -> None:
    run(f"folder:{animals}", stop=True, progress=Stop())
    add_a_class(animals)
    with pytest.raises(DataError, match=r"was stopped at .* and the training images \(.{8}, now .{8}\)"):
        run(f"folder:{animals}")
    again = run(f"folder:{animals}", existing="always")
    assert len(again.class_names) == 5 and again.status == "complete"


def test_other_weights_are_not_put_into_an_interrupted_run(tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    write_weights(own)
    backbone = f"test_vit@{own}"
    run("split-digits", backbone=backbone, stop=True, progress=Stop())
    write_weights(own, 0.5)
    with pytest.raises(DataError, match=r"the weights of the backbone \(.{8}, now .{8}\) have changed since"):
        run("split-digits", backbone=backbone)
    write_weights(own)
    assert run("split-digits", backbone=backbone).status == "complete"


def test_the_checkpoint_of_another_run_does_not_complete_this_one(tmp_path: Path) -> None:
    for number in (1, 2):
        run("split-digits", stop=True, progress=Stop(), results=tmp_path / str(number), seed=number)
    one, two = (next((tmp_path / name).rglob("event.safetensors")) for name in ("1", "2"))
    shutil.copy(one, two)
    with pytest.raises(DataError, match=r"and its seeds .* have changed since"):
        run("split-digits", results=tmp_path / "2", seed=2)


def test_changed_code_does_not_continue_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    run("split-digits", stop=True, progress=Stop())
    monkeypatch.setattr("cl.registry.strategies.source_sha256", lambda name: "0" * 64)
    with pytest.raises(DataError, match=r"the code of the strategy .* has changed since; put back"):
        run("split-digits")


def test_a_dry_run_says_what_the_run_would_say(animals: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(f"folder:{animals}", stop=True, progress=Stop())
    words = ["run", "-s", "simplecil", "--stream", f"folder:{animals}", "--backbone", "test_vit@random"]
    words += [text for key, value in FOLDER.items() for text in ("--set", f"{key}={value}")]
    assert call([*words, "--dry-run"]) == 0
    assert "would continue" in capsys.readouterr().out
    add_a_class(animals)
    before = sorted(str(path) for path in Path(os.environ["CLBENCH_HOME"]).rglob("*"))
    assert call([*words, "--dry-run"]) == 3
    assert "the training images" in capsys.readouterr().err
    assert before == sorted(str(path) for path in Path(os.environ["CLBENCH_HOME"]).rglob("*")), "it wrote to the cache"


# ------------------------------------------------------------------------------------------------ a complete run


def test_a_complete_run_on_other_images_is_not_complete_already(
    animals: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run(f"folder:{animals}")
    add_a_class(animals)
    with pytest.raises(DataError, match=r"the training images .* changed since this run was completed on .*animals"):
        run(f"folder:{animals}")
    assert call(["resume", str(first.folder)]) == 3
    assert "--existing always starts over" in capsys.readouterr().err
    assert len(run(f"folder:{animals}", existing="always").class_names) == 5


def test_equal_images_with_other_times_are_the_same_run(animals: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run(f"folder:{animals}")
    for path in animals.rglob("*.png"):
        os.utime(path, (1, 1))
    heard = Heard()
    again = run(f"folder:{animals}", progress=heard)
    assert again.record == first.record and len(heard.texts) == 1

    def fail(*_: Any) -> Any:
        raise AssertionError("the images were read again")

    monkeypatch.setattr("cl.running.build.build_stream", fail)
    assert run(f"folder:{animals}").record == first.record


def test_a_complete_run_is_kept_when_its_images_are_gone(animals: Path) -> None:
    first = run(f"folder:{animals}")
    plan = load_plan(first.folder)
    shutil.rmtree(animals)
    assert "so that it cannot be compared: There is no folder" in existing.check_complete(plan, first.record)


def test_another_weights_file_is_not_complete_already(tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    write_weights(own)
    run("split-digits", backbone=f"test_vit@{own}")
    write_weights(own, 0.5)
    with pytest.raises(DataError, match=r"the weights of the backbone .* have changed since this run was completed"):
        run("split-digits", backbone=f"test_vit@{own}")


def test_weights_that_are_found_in_another_place_now_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_weights(tmp_path / "a" / "own.safetensors")
    write_weights(tmp_path / "b" / "own.safetensors", 0.5)
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "a"))
    run("split-digits", backbone="test_vit@own.safetensors")
    monkeypatch.setenv("CLBENCH_DATA_PATH", os.pathsep.join([str(tmp_path / "b"), str(tmp_path / "a")]))
    with pytest.raises(DataError, match="the weights of the backbone"):
        run("split-digits", backbone="test_vit@own.safetensors")


@pytest.mark.parametrize(("old", "new"), [('"stream.tasks" = 2', '"stream.tasks" = 5'), ("seed = 1993", "seed = 7")])
def test_an_edited_config_is_not_continued(old: str, new: str, capsys: pytest.CaptureFixture[str]) -> None:
    first = run("split-digits")
    config = first.folder / "config.toml"
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))
    assert call(["resume", str(first.folder)]) == 3
    assert "config.toml or the stream's file was edited" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------- damage


@pytest.mark.parametrize("damage", [b"", b"[run]\n", b"\xff\xfe", b"[run\n"])
def test_a_damaged_config_is_written_again(damage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    first = run("split-digits")
    config = first.folder / "config.toml"
    whole = config.read_text()
    config.write_bytes(damage)
    run("split-digits")
    assert config.read_text().partition("[invocation]")[0] == whole.partition("[invocation]")[0]
    assert first.record["run_id"] in config.read_text() and "is written again" in caplog.text


def test_damaged_derived_files_of_a_complete_run_are_repaired_or_named(caplog: pytest.LogCaptureFixture) -> None:
    first = run("split-digits")
    events, predictions = first.folder / "events.jsonl", first.folder / "predictions.npz"
    whole = events.read_bytes()
    events.write_bytes(whole[:-3])
    (first.folder / "checkpoint").mkdir()
    (first.folder / "checkpoint" / "event.safetensors").touch()
    run("split-digits")
    assert events.read_bytes() == whole and not (first.folder / "checkpoint").exists()
    data = bytearray(predictions.read_bytes())
    data[len(data) // 2] ^= 1
    predictions.write_bytes(data)
    assert run("split-digits").status == "complete"
    assert "are damaged or of another run" in caplog.text and "--existing always starts over" in caplog.text
    run("split-digits", existing="always")
    caplog.clear()
    run("split-digits")
    assert not caplog.records
    predictions.unlink()
    run("split-digits")
    assert "are missing" in caplog.text


def test_a_damaged_record_is_written_again_from_the_checkpoint(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = run("split-digits", results=tmp_path / "whole")
    run("split-digits", stop=True, progress=Stop())
    path = next(Path(os.environ["CLBENCH_RESULTS"]).rglob("record.json"))
    path.write_text(path.read_text()[:-200])
    result = run("split-digits")
    assert result.record["result_sha256"] == whole.record["result_sha256"]
    assert "is written again from the checkpoint" in caplog.text


def test_a_damaged_record_without_a_checkpoint_is_started_over_as_advised() -> None:
    first = run("split-digits")
    path = first.folder / "record.json"
    path.write_text(path.read_text()[:-200])
    with pytest.raises(DataError, match="there is no checkpoint to write it from; --existing always starts over"):
        run("split-digits")
    assert run("split-digits", existing="always").record["result_sha256"] == first.record["result_sha256"]


def test_a_damaged_list_of_inputs_leads_to_a_comparison_of_contents(
    animals: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = run(f"folder:{animals}")
    inputs = first.folder / existing.INPUTS
    whole = inputs.read_text()
    inputs.write_text(whole[:-20])
    assert run(f"folder:{animals}").record == first.record and "contents are compared" in caplog.text
    assert json.loads(inputs.read_text())["stream"] == json.loads(whole)["stream"]
    inputs.write_text("")
    add_a_class(animals)
    with pytest.raises(DataError, match="the training images"):
        run(f"folder:{animals}")


# -------------------------------------------------------------------------------------------------------- boards


def test_the_same_images_in_a_folder_of_another_name_are_one_board(animals: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "beasts"
    shutil.copytree(animals, copy)
    one, two = run(f"folder:{animals}", seed=1), run(f"folder:{copy}", seed=2)
    streams = [result.record["result"]["stream"] for result in (one, two)]
    assert [stream["name"] for stream in streams] == ["folder:animals", "folder:beasts"]
    assert one.record["config_hash"] == two.record["config_hash"]
    assert len(load_results(os.environ["CLBENCH_RESULTS"]).leaderboard()) == 1
    third = run(f"folder:{copy}", seed=1)
    assert third.record["result"]["stream"]["id"] == streams[0]["id"]
    assert str(tmp_path) not in third.folder.relative_to(os.environ["CLBENCH_RESULTS"]).as_posix()
    assert third.folder.parents[3].name.startswith("folder-beasts-") and len(third.folder.parents[3].name) == 20


# ------------------------------------------------------------------------------------ what a quick look could miss


def same_times(root: Path) -> None:
    for path in root.rglob("*"):
        os.utime(path, (1, 1))


def bitmaps(root: Path, first: int) -> Path:
    """Images of equal names, sizes and times."""
    for number, name in enumerate(("ant", "bee")):
        for index in range(4):
            (root / name).mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng([first, number, index]).integers(0, 256, (12, 12, 3), np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.bmp")
    same_times(root)
    return root


def test_images_of_equal_names_sizes_and_times_are_told_apart(tmp_path: Path) -> None:
    one, two = (bitmaps(tmp_path / name / "birds", seed) for seed, name in enumerate("ab"))
    prints = [run(f"folder:{root}").record["result"]["stream"]["fingerprints"]["train"] for root in (one, two)]
    assert prints[0] != prints[1]
    (one / "ant").rename(one / "x"), (one / "bee").rename(one / "ant"), (one / "x").rename(one / "bee")
    same_times(one)
    with pytest.raises(DataError, match="the training images"):
        run(f"folder:{one}")


def test_a_relative_path_is_looked_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, factor in (("x", 1.0), ("y", 0.5)):
        write_weights(tmp_path / name / "own.safetensors", factor)
    monkeypatch.chdir(tmp_path / "x")
    run("split-digits", backbone="test_vit@./own.safetensors", results=tmp_path / "r")
    monkeypatch.chdir(tmp_path / "y")
    with pytest.raises(DataError, match="the weights of the backbone"):
        run("split-digits", backbone="test_vit@./own.safetensors", results=tmp_path / "r")


def test_the_folder_of_another_run_in_the_place_of_this_one_is_noticed(tmp_path: Path) -> None:
    one, two = (bitmaps(tmp_path / name / "birds", seed) for seed, name in enumerate("ab"))
    first, second = run(f"folder:{one}"), run(f"folder:{two}")
    shutil.rmtree(second.folder)
    shutil.copytree(first.folder, second.folder)
    with pytest.raises(DataError, match="the training images"):
        run(f"folder:{two}")


def test_a_run_under_another_seed_is_noticed() -> None:
    first = run("split-digits", seed=1)
    shutil.copytree(first.folder, first.folder.with_name("seed2"))
    with pytest.raises(DataError, match=r"The configuration in .* has changed"):
        run("split-digits", seed=2)


def test_without_the_list_of_inputs_contents_are_compared(animals: Path) -> None:
    first = run(f"folder:{animals}")
    (first.folder / existing.INPUTS).unlink()
    assert run(f"folder:{animals}").record == first.record and (first.folder / existing.INPUTS).is_file()
    (first.folder / existing.INPUTS).unlink()
    add_a_class(animals)
    with pytest.raises(DataError, match="the training images"):
        run(f"folder:{animals}")


def test_weights_that_are_gone_do_not_hide_images_that_changed(animals: Path, tmp_path: Path) -> None:
    own = tmp_path / "own.safetensors"
    write_weights(own)
    run(f"folder:{animals}", backbone=f"test_vit@{own}")
    own.unlink()
    add_a_class(animals)
    with pytest.raises(DataError, match="the training images"):
        run(f"folder:{animals}", backbone=f"test_vit@{own}")


def test_images_of_the_method_are_compared_when_a_run_is_resumed(tmp_path: Path) -> None:
    pool = bitmaps(tmp_path / "pool", 7)

    def keys(**more: Any) -> Any:
        options = {**SMALL, "keys_from": f"folder:{pool}", "key_images": 4}
        try:
            return cl.run("kvb", "split-digits", backbone="test_vit@random", options=options, **more)
        except KeyboardInterrupt:
            return None

    keys(progress=Stop())
    save(pool / "ant" / "new.png")
    with pytest.raises(DataError, match=r"read by kvb, has changed since this run was stopped"):
        keys()


def test_a_record_that_cannot_be_opened_is_not_called_damaged(monkeypatch: pytest.MonkeyPatch) -> None:
    first = run("split-digits")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("cl.records.record.Path.read_bytes", refuse)
    with pytest.raises(DataError, match=r"Cannot read .*record\.json: Permission denied; check the path and its perm"):
        existing.complete_record(first.folder)
