"""Damaged images are skipped only if that is asked for; the dataset is then that of a folder without them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import cl
from cl.cli import call
from cl.data import damaged as module
from cl.errors import DataError, UsageError
from cl.housekeeping.cache import inventory
from cl.paths import look_only
from cl.plan.plan import make_plan
from tests.help.declared import build
from tests.help.image_folders import folder, save, tree

NOTE = "Skipped: 2 damaged images (ant/1.png (image file is truncated"


@pytest.fixture
def pets(tmp_path: Path, cache: Path) -> Path:
    root = tree(tmp_path / "pets", {"ant": 10, "bee": 10})
    (root / "ant" / "1.png").write_bytes((root / "ant" / "1.png").read_bytes()[:-40])
    (root / "bee" / "7.png").write_text("no image")
    return root


def test_fifty_are_named() -> None:
    found = {f"{number}.png": "cut" for number in range(52)}
    said = str(module.DamagedImages(found))
    assert said.startswith("Cannot read 52 images: 0.png (cut), 1.png (cut), ")
    assert "49.png (cut) and 2 more; replace or remove them, or leave them out with --skip-damaged" in said
    assert "Cannot read 1 image: a (cut); replace or remove it, or leave it out" in str(
        module.DamagedImages({"a": "cut"})
    )


def test_the_dataset_is_that_of_a_folder_without_them(pets: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Cannot read 2 images"):
        folder(pets)
    skipped = folder(pets, skip_damaged=True)
    (note,) = skipped.dataset.notes
    assert note.startswith(NOTE) and "bee/7.png (it is not an image that Pillow reads)" in note
    whole = shutil.copytree(pets, tmp_path / "other" / "pets")
    for name in ("ant/1.png", "bee/7.png"):
        (whole / name).unlink()
    assert skipped.id == folder(whole).id and skipped.dataset.fingerprints == folder(whole).dataset.fingerprints
    assert folder(whole, skip_damaged=True).id == skipped.id and not folder(whole, skip_damaged=True).dataset.notes


def test_they_are_looked_for_once_and_again_if_a_file_changes(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = folder(pets, skip_damaged=True)
    with monkeypatch.context() as patch:
        patch.setattr(module, "decode_resized", None)
        assert folder(pets, skip_damaged=True).dataset.notes == first.dataset.notes
    save(pets / "ant" / "1.png", seed=5)
    (note,) = folder(pets, skip_damaged=True).dataset.notes
    assert note.startswith("Skipped: 1 damaged image (bee/7.png")


def test_the_cache_knows_the_list_and_a_damaged_list_is_made_again(
    pets: Path, cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first = folder(pets, skip_damaged=True)
    assert {item.kind for item in inventory(cache, cache / "results")} == {"decoded"}
    (found,) = cache.glob(f"decoded/*/{module.FOUND}")
    found.write_text("[]")
    assert folder(pets, skip_damaged=True).dataset.notes == first.dataset.notes
    assert "the images are looked at again" in caplog.text
    found.unlink()
    with look_only(cache=False):
        assert folder(pets, skip_damaged=True).dataset.notes == first.dataset.notes
    assert not found.exists()


def test_a_class_of_damaged_images_alone_is_an_error(pets: Path) -> None:
    (pets / "cat").mkdir()
    for name in ("1.png", "2.png"):
        (pets / "cat" / name).write_text("no image")
    with pytest.raises(DataError, match="All images of class 'cat' are damaged; replace them, or remove the class"):
        folder(pets, skip_damaged=True)


def test_a_run_lists_them_in_its_record(pets: Path, isolated: None, capsys: pytest.CaptureFixture[str]) -> None:
    run = cl.run("simplecil", f"folder:{pets}", skip_damaged=True)
    assert any(text.startswith(NOTE) for text in run.record["measurement"]["warnings"])
    assert run.record["result"]["config"]["stream.skip_damaged"] == {"value": True, "origin": "--skip-damaged"}
    command = ["run", "-s", "simplecil", "--stream", f"folder:{pets}", "--progress", "plain"]
    assert call(command) == 3
    assert call([*command, "--skip-damaged", "--existing", "always"]) == 0
    assert NOTE in capsys.readouterr().err
    with pytest.raises(UsageError, match="Stream split-digits reads no folder of yours; leave --skip-damaged out"):
        make_plan("simplecil", "split-digits", skip_damaged=True)


def test_they_are_skipped_in_a_stream_file(pets: Path, tmp_path: Path) -> None:
    text = 'name = "mine"\nsetting = "class-incremental"\nsize = 8\n[[datasets]]\nname = "pets"\nreader = "folder"\n'
    (tmp_path / "mine.toml").write_text(text + 'path = "pets"\n')
    with pytest.raises(DataError):
        build(tmp_path / "mine.toml")
    stream: Any = build(tmp_path / "mine.toml", skip_damaged=True)
    assert stream.dataset.notes[0].startswith(f"pets: {NOTE}")
