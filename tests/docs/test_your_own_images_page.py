"""The page "Your own images": every command on it that needs no network is run as it is printed there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import timm
from safetensors.torch import save_file

from cl.cli import call
from cl.results import load_results
from tests.help.hub import clone
from tests.help.image_folders import save, tree

PAGE = Path(__file__).parents[2] / "docs" / "your-own-images.md"
TEXT = PAGE.read_text(encoding="utf-8")
COMMANDS = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("clbench ")
]
KINDS = ("crane", "heron", "owl", "stork")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with everything that the page names."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    tree(tmp_path / "photos", dict.fromkeys(KINDS, 5))
    tree(tmp_path / "torchvision" / "eurosat" / "2750", dict.fromkeys(("Forest", "River"), 5))
    lines = ["image,kind,part"]
    for number in range(24):
        save(tmp_path / "shoots" / f"a{number:02}.jpg", seed=number)
        lines.append(f"a{number:02}.jpg,{KINDS[number % 4]},{'test' if number >= 16 else 'train'}")
    (tmp_path / "shoots" / "shoots.csv").write_text("\n".join(lines))
    (order,) = (block for block in re.findall(r"```text\n(.*?)```", TEXT, re.DOTALL) if block.startswith("owl\n"))
    (tmp_path / "order.txt").write_text(order)
    (tasks,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "tasks.json").write_text(tasks)
    clone(tmp_path / "zoo" / "pets")
    model = timm.create_model("test_vit", num_classes=0)
    (tmp_path / "zoo" / "tiny-vit").mkdir()
    save_file(model.state_dict(), tmp_path / "zoo" / "tiny-vit" / "model.safetensors")
    config = {"architecture": "test_vit", "pretrained_cfg": {"input_size": [3, 160, 160], "crop_pct": 0.95}}
    (tmp_path / "zoo" / "tiny-vit" / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_the_page_has_commands() -> None:
    assert len(COMMANDS) >= 10 and sum(" run " in command for command in COMMANDS) >= 8


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_page_runs(command: str, here: Path) -> None:
    if "hf:" in command:
        pytest.importorskip("datasets", reason="the package datasets is not installed: clbench[hub]")
    assert call(shlex.split(command)[1:]) == 0


def test_what_the_page_says_of_them(here: Path) -> None:
    for command in COMMANDS:
        if "order.txt" in command or "tasks.json" in command:
            assert call(shlex.split(command)[1:]) == 0
    streams = [record["result"]["stream"] for record in load_results(here / "results").records]
    found = {stream["setting"]: stream for stream in streams}
    plain, returning = found["class-incremental"], found["returning class-incremental"]
    assert plain["class_names"] == ["owl", "stork", "crane", "heron"]
    assert [len(group["classes"]) for group in plain["groups"]] == [3, 1]
    assert [group["classes"] for group in returning["groups"]] == [[0, 1], [2], [3]]
