"""`clbench predict`: one line per image, and one sentence for what cannot be predicted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import cl
from cl.cli import call
from tests.help.image_folders import save, tree
from tests.help.small_runs import OPTIONS, run

pytestmark = pytest.mark.usefixtures("isolated")
Shown = pytest.CaptureFixture[str]


@pytest.fixture
def folder() -> str:
    options = {**OPTIONS, "stream.train_per_class": 24, "stream.val_fraction": 0.5}
    result = cl.run("simplecil", "split-digits", backbone="test_vit@random", options=options, save_learner=True)
    return str(result.folder)


def test_one_line_per_image_with_class_and_probability(folder: str, tmp_path: Path, capsys: Shown) -> None:
    save(tmp_path / "photos" / "one.png")
    save(tmp_path / "two.png", seed=1)
    capsys.readouterr()
    photos, other = str(tmp_path / "photos"), str(tmp_path / "two.png")
    assert call(["predict", folder, photos, other]) == 0
    shown = capsys.readouterr()
    lines = [line.split("\t") for line in shown.out.splitlines()]
    assert [line[0] for line in lines] == [str(tmp_path / "photos" / "one.png"), other]
    assert all(line[1].startswith("digit") or len(line[1]) for line in lines) and 0 < float(lines[0][2]) <= 1
    assert "Probabilities are calibrated on 120 held-out training images: temperature" in shown.err

    assert call(["predict", folder, other, "--top", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["file"] == other and found["calibrated"] is True and len(found["top"]) == 3
    assert found["top"][0] == {"class": found["class"], "probability": found["probability"]}
    assert found["class"] == lines[1][1]

    assert call(["predict", folder, other, "--task", "2", "--top", "10"]) == 0
    by_number = capsys.readouterr().out
    assert call(["predict", folder, other, "--task", "task1", "--top", "10"]) == 0
    assert capsys.readouterr().out == by_number and len(by_number.split("\t")) == 1 + 2 * 5


def test_mistakes_are_one_sentence_and_print_no_line(folder: str, tmp_path: Path, capsys: Shown) -> None:
    (tmp_path / "text.png").write_text("no image")
    capsys.readouterr()
    for words, code, sentence in [
        ([folder, str(tmp_path / "nowhere.png")], 2, "There is no file"),
        ([folder, str(tmp_path / "text.png")], 3, "it is not an image that Pillow reads"),
        ([folder, str(tmp_path / "text.png"), "--task", "3"], 2, "knows no task '3'. It knows: 1 (task0), 2 (task1)."),
        ([folder, str(tmp_path / "text.png"), "--task", "0"], 2, "knows no task '0'. It knows: 1 (task0), 2 (task1)."),
        ([str(tmp_path), str(tmp_path / "text.png")], 2, "holds no run"),
    ]:
        assert call(["predict", *words]) == code
        shown = capsys.readouterr()
        assert sentence in shown.err and not shown.out and "Traceback" not in shown.err


def test_a_run_without_a_saved_learner_says_how_to_get_one(tmp_path: Path, capsys: Shown) -> None:
    save(tmp_path / "one.png")
    assert call(["predict", str(run().folder), str(tmp_path / "one.png")]) == 2
    assert "keeps no learner; run again with --save-learner" in capsys.readouterr().err


def test_damaged_files_are_all_named_or_left_out(
    folder: str, tmp_path: Path, capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cl.cli.commands.predict._TOGETHER", 2)
    photos = tree(tmp_path / "photos", {"a": 7})
    for name in ("1.png", "6.png"):
        (photos / "a" / name).write_text("no image")
    capsys.readouterr()
    assert call(["predict", folder, str(photos)]) == 3
    told = capsys.readouterr().err
    assert "Cannot read 2 images: " in told and "1.png (it is not" in told and "6.png (it is not" in told
    assert "leave them out with --skip-damaged" in told
    for more in ([], ["--json"]):
        assert call(["predict", folder, str(photos), "--skip-damaged", *more]) == 0
        shown = capsys.readouterr()
        assert len(shown.out.splitlines()) == 5 and "1.png" not in shown.out
        assert (
            f"Skipped: 2 damaged images ({photos / 'a' / '1.png'} (it is not an image that Pillow reads), " in shown.err
        )
    assert call(["predict", folder, str(photos / "a" / "1.png"), "--skip-damaged"]) == 3
    assert "No image can be read: " in capsys.readouterr().err


def test_a_method_that_is_told_the_task_names_the_option(tmp_path: Path, capsys: Shown) -> None:
    save(tmp_path / "one.png")
    result = cl.run(
        "wsn", "split-digits", backbone="mlp_2x100_28@random", limit=4, save_learner=True,
        options={"stream.tasks": 2, "epochs": 1},
    )  # fmt: skip
    folder, photo = str(result.folder), str(tmp_path / "one.png")
    capsys.readouterr()
    assert call(["predict", folder, photo]) == 2
    shown = capsys.readouterr()
    assert "(wsn has parts of its own for each task" in shown.err and not shown.out
    assert "give --task, one of: 1 (task0), 2 (task1)." in shown.err and "task=0" not in shown.err
    assert call(["predict", folder, photo, "--task", "2"]) == 0
    assert capsys.readouterr().out.split("\t")[1] in result.class_names[5:]
    for more in ([], ["--task", "2"]):
        assert call(["export-model", folder, "--format", "torch", *more]) == 2
        assert "WSN has parts of its own for each task and cannot be exported" in capsys.readouterr().err
