"""What goes wrong from the command line: one sentence with the fix, the right exit code, no traceback, nothing lost.

Misspelt names and missing data are in tests/cli/test_app.py.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import cl
from cl import registry
from cl.cli import call
from cl.plan.plan import make_plan
from cl.records.record import load
from tests.help.toy import QUICK, records

pytestmark = pytest.mark.usefixtures("toy")

TINY = ["--backbone", "test_vit@random", "--set", "backbone.image_size=32"]
DIGITS = ["--stream", "split-digits", "--limit", "4", "--set", "stream.tasks=2"]
CHECKOUT = str(Path(cl.__file__).parent.parent)


def fails(capsys: pytest.CaptureFixture[str], command: list[str], code: int) -> str:
    """Run a command that must fail with `code`; returns its one sentence."""
    assert call(command) == code
    shown = capsys.readouterr()
    assert shown.out == "" and "Traceback" not in shown.err
    (sentence,) = [line for line in shown.err.splitlines() if line.startswith("Error: ")]
    return sentence


def record_of(tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """The only record there, which must be valid whatever happened."""
    (path,) = (tmp_path / "results").rglob("record.json")
    return path.parent, load(path)


def images(root: Path, counts: dict[str, int]) -> Path:
    """A folder of images for each class."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).save(root / name / f"{number}.png")
    return root


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("lr=0", "lr must be above 0, not '0'."),
        ("epochs=many", "epochs must be a whole number, not 'many'."),
        ("augment=mixup", "augment must be one of "),
        ("stream.order=random", "stream.order must be one of pycil, natural, coda, python, not 'random'."),
        ("stream.train_per_class=0", "stream.train_per_class must be above 0"),
        ("stream.increment=-2", "stream.increment must be at least 1"),
        ("stream.val_fraction=1", "stream.val_fraction must be below 1"),
        ("backbone.normalize=cifar", "backbone.normalize must be one of "),
    ],
)
def test_a_value_out_of_range_says_what_is_allowed(
    setting: str, says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert says in fails(capsys, ["run", "-s", "finetune", *DIGITS, "--set", setting], 2)
    assert not (tmp_path / "results").exists()


def test_an_archive_with_the_wrong_hash(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / "data" / "cifar-100-python.tar.gz"
    archive.parent.mkdir()
    archive.write_bytes(b"not the archive")
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(archive.parent))
    sentence = fails(capsys, ["run", "-s", "simplecil", "--stream", "split-cifar100"], 3)
    for part in (str(archive), "SHA-256", "delete it and run again"):
        assert part in sentence
    assert archive.read_bytes() == b"not the archive", "the user's own file is left alone"


def test_weights_that_do_not_fit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    weights.write_bytes(b"no weights")
    command = ["run", "-s", "simplecil", *DIGITS, "--backbone", f"test_vit@{weights}"]
    sentence = fails(capsys, command, 3)
    assert f"cannot read the weights file {weights}" in sentence
    weights.unlink()
    assert f"There is no file {weights}; check the path." in fails(capsys, command, 3)


def test_an_unreadable_image_and_the_run_after_it_was_replaced(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    root = images(tmp_path / "images", {"ant": 4, "bee": 4})
    broken = root / "bee" / "2.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-40])
    command = ["run", "-s", "simplecil", "--stream", f"folder:{root}", "--set", "stream.size=8", *TINY]
    sentence = fails(capsys, command, 3)
    assert f"Cannot read the image {broken}" in sentence and "replace or remove it" in sentence
    broken.write_bytes(whole)
    assert call([*command, "-q"]) == 0
    assert record_of(tmp_path)[1]["status"] == "complete"


def test_a_class_with_one_training_image_names_the_class(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = tmp_path / "images"
    images(root / "train", {"ant": 3, "bee": 1})
    images(root / "test", {"ant": 2, "bee": 2})
    command = ["run", "-s", "slca", "--stream", f"folder:{root}", *TINY]
    options = ("stream.size=8", "stream.order=natural", "stream.tasks=2", "epochs=1")
    command += [text for each in options for text in ("--set", each)]
    sentence = fails(capsys, command, 2)
    assert "slca needs 2 training images of each class for its covariance, but class 1 (bee) in task 2 of 2" in sentence
    assert not list((tmp_path / "results").rglob("record.json")), "nothing was trained"


def test_a_loss_that_diverges_keeps_what_was_learned(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    command = ["run", "-s", "finetune", *DIGITS, *TINY, "--set", "epochs=3", "--set", "batch_size=8"]
    sentence = fails(capsys, [*command, "--set", "lr=1e30"], 4)
    assert "the loss became nan in task 0, fit 'train'" in sentence
    assert "lower the learning rate (for example --set lr=...)" in sentence
    folder, record = record_of(tmp_path)
    assert record["status"] == "failed" and "the loss became nan" in record["error"]
    assert record["result"]["rows"] == []
    assert call([*command, "--set", "lr=0.001", "-q"]) == 0
    assert load(folder / "record.json") == record, "another rate is another run"


def test_a_failed_run_continues_from_its_last_checkpoint(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = registry.strategies.get("finetune")
    plain = method._groups
    command = ["run", "-s", "finetune", *DIGITS, *TINY, "--set", "epochs=1"]

    def hot(self: Any) -> list[dict[str, Any]]:
        factor = 1e30 if self.trainer.journal.task == 1 else 1
        return [{**group, "lr": group["lr"] * factor} for group in plain(self)]

    monkeypatch.setattr(method, "_groups", hot)
    assert "in task 1" in fails(capsys, [*command, "--set", "batch_size=8"], 4)
    folder, record = record_of(tmp_path)
    assert record["status"] == "failed" and [row["task"] for row in record["result"]["rows"]] == [0]
    assert (folder / "checkpoint" / "event.safetensors").is_file()
    monkeypatch.setattr(method, "_groups", plain)
    assert call([*command, "--set", "batch_size=8", "-q"]) == 0
    assert call([*command, "--set", "batch_size=8", "-q", "--results", str(tmp_path / "whole")]) == 0
    folder, record = record_of(tmp_path)
    assert record["status"] == "complete" and record["error"] is None and record["measurement"]["resumed_from"]
    (whole,) = (tmp_path / "whole").rglob("record.json")
    assert load(whole)["result"] == record["result"]


FILLING = """
    import os, resource
    from cl.strategies.simplecil import SimpleCIL

    class Filling(SimpleCIL):
        def learn(self, view):
            if view.task == 1 and "DISK" in os.environ:
                resource.setrlimit(resource.RLIMIT_FSIZE, (int(os.environ["DISK"]), resource.RLIM_INFINITY))
            super().learn(view)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs RLIMIT_FSIZE")
def test_a_disk_that_fills_keeps_the_record_and_the_run_ends_as_if_undisturbed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, plugin: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {"clbench.strategies": {"filling": "filling_method:Filling"}}
    site = plugin("filling", {"filling_method": FILLING}, points)
    monkeypatch.setattr(registry, "strategies", registry.Registry("clbench.strategies", "strategy"))
    command = ["run", "-s", "filling", *DIGITS, *TINY]
    full = subprocess.run(
        [sys.executable, "-m", "cl.cli", *command],
        capture_output=True,
        text=True,
        env={**os.environ, "DISK": "1000", "PYTHONPATH": os.pathsep.join([CHECKOUT, str(site)])},
        check=False,
    )
    assert full.returncode == 1, full.stderr
    (sentence,) = [line for line in full.stderr.splitlines() if line.startswith("Error: ")]
    assert "the disk is full or a file-size limit was reached; free space" in sentence
    assert "Traceback" not in full.stderr
    folder, before = record_of(tmp_path)
    assert before["status"] == "partial" and [row["task"] for row in before["result"]["rows"]] == [0]
    assert not list(folder.rglob("*.tmp"))

    assert call([*command, "-q"]) == 0
    after = record_of(tmp_path)[1]
    assert after["status"] == "complete" and after["measurement"]["resumed_from"] == ["after event 1"]
    assert call([*command, "-q", "--results", str(tmp_path / "undisturbed")]) == 0
    (undisturbed,) = (tmp_path / "undisturbed").rglob("record.json")
    assert load(undisturbed)["result"] == after["result"]


AS_NOBODY = """
import contextlib, io, os, sys, tempfile
from cl.cli import call
with tempfile.TemporaryDirectory() as other, contextlib.redirect_stderr(io.StringIO()):
    call([*sys.argv[1:-1], other])  # once as root, to import what nobody may not read: a checkout in /root, say
os.setgid(65534), os.setuid(65534)
code = call(sys.argv[1:])
sys.stderr.flush()
os._exit(code)  # what libraries clean up at the end is root's
"""


@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root can become somebody else")
def test_an_unwritable_results_folder_of_somebody_else() -> None:
    owned = Path(tempfile.mkdtemp())  # not below tmp_path, which nobody cannot even enter
    try:
        owned.chmod(0o755)
        command = ["run", "-s", "simplecil", *DIGITS, "--results", str(owned / "results")]
        environment = {**os.environ, "PYTHONPATH": CHECKOUT, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, *command],
            capture_output=True, text=True, env=environment, check=False,
        )  # fmt: skip
        assert done.returncode == 1, done.stderr
        (sentence,) = done.stderr.splitlines()
        assert sentence.startswith(f"Error: cannot write {owned / 'results'}")
        assert "the folder is not writable" in sentence
        assert list(owned.iterdir()) == []
    finally:
        shutil.rmtree(owned)


def test_a_damaged_config_file_of_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan("simplecil", "split-digits")
    plan.folder.mkdir(parents=True)
    (plan.folder / "config.toml").write_text("[run\n")
    sentence = fails(capsys, ["resume", str(plan.folder)], 2)
    assert "config.toml is not valid TOML" in sentence


def test_a_file_in_the_place_of_a_folder_of_runs_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "split-digits").write_text("a stream file, say")
    assert call(["run", "-s", "toy", *QUICK, "--results", str(tmp_path / "here")]) == 1
    assert "a file is in the place of a folder; move it" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs permissions that bind")
def test_an_unwritable_results_folder_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert call(["run", "-s", "toy", *QUICK, "--results", str(locked / "results")]) == 1
    assert "the folder is not writable" in capsys.readouterr().err


def test_a_results_path_that_is_a_file_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert call(["run", "-s", "toy", *QUICK, "--results", str(tmp_path / "file" / "x")]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("Error: cannot write")
    assert "Traceback" not in shown


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs RLIMIT_FSIZE")
@pytest.mark.parametrize("size", [300, 4096])
def test_a_full_disk_is_one_sentence_and_loses_nothing(size: int, tmp_path: Path, plugin: Any) -> None:
    source = """
        import torch
        from cl.strategy import Strategy

        class Still(Strategy):
            def learn(self, view):
                pass

            def predict(self, inputs, task=None):
                return torch.zeros(len(inputs), 10)
    """
    site = plugin("still", {"still_method": source}, {"clbench.strategies": {"still": "still_method:Still"}})
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY));"
    code = "import sys; from cl.cli import call; sys.exit(call(sys.argv[1:]))"
    command = ["run", "-s", "still", *QUICK]
    paths = os.pathsep.join([str(Path(cl.__file__).parent.parent), str(site)])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}

    def attempt(prefix: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-c", prefix + code, *command]
        return subprocess.run(program, capture_output=True, text=True, env=environment, check=False)

    full = attempt(limit)
    assert full.returncode == 1, full.stderr
    assert "the disk is full" in full.stderr
    assert "Traceback" not in full.stderr
    again = attempt("")
    assert again.returncode == 0, again.stderr
    (path,) = records(tmp_path)
    assert json.loads(path.read_text())["status"] == "complete"
