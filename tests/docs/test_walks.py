"""The commands of README and of the guides, run in their order in one folder, as a new user would.

What needs a network, a cluster or another shell is named in `ELSEWHERE`. Runs get a limit of images, so that a walk
takes minutes; `docs/your-own-images.md`, `docs/paper.md` and the notebook have tests of their own.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from cl.cli import call
from tests.docs.test_docs import command_lines
from tests.help.environments import ROOT
from tests.help.image_folders import save, tree

pytestmark = pytest.mark.slow

_GUIDES = ("getting-started", "using-a-run", "which-method", "leaderboard")
PAGES = ("README.md", *(f"docs/{name}.md" for name in _GUIDES))

ELSEWHERE = {
    "vit_base_patch16_224": "its weights have to be there",
    "my-stream.toml": "docs/declare-a-stream.md has its test",
    "more.toml": "the same",
    "my-method": "tests/end_to_end/test_plugin_wheel.py",
    "reproduce": "minutes of one core; has tests of its own",
    "completion": "prints a script for the shell",
}

FAST = ("--limit", "10", "--threads", "1", "--progress", "none")


def walk(page: str) -> list[list[str]]:
    """The commands of a page that can be run here."""
    found = list(command_lines((ROOT / page).read_text(encoding="utf-8")))
    assert found
    return [words for words in found if not any(part in " ".join(words) for part in ELSEWHERE)]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages name: images, photos, the records of a checkout and those of a colleague."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    tree(tmp_path / "images", dict.fromkeys(("crane", "heron", "owl", "stork"), 12))
    tree(tmp_path / "new", dict.fromkeys(("ibis", "kite"), 12))
    for name in ("photo.jpg", "other.png", "photos/a.png", "photos/b.png"):
        save(tmp_path / name)
    reference = ROOT / "results" / "reference"
    shutil.copytree(reference / "split-digits", tmp_path / "results" / "reference" / "split-digits")
    return tmp_path


def boards(here: Path) -> None:
    """Records of several methods on one board, in the folders that docs/leaderboard.md names."""
    small = ROOT / "results" / "reference" / "split-cifar100-small" / "split-cifar100"
    places = {"results/reference": ("l2", "slca", "ewc"), "colleague/results": ("finetune",)}
    for folder, names in places.items():
        for name in names:
            shutil.copytree(small / name, here / folder / "split-cifar100" / name)


def learner(here: Path) -> str:
    """The folder of a finished run with a learner for every task."""
    run = ["run", "-s", "ranpac", "--stream", "folder:images", "--set", "tuning=none", "--set", "stream.tasks=2"]
    assert call([*run, "--save-learner", "--save-every-task", "--results", "own", *FAST[2:]]) == 0
    return str(next(path.parent for path in (here / "own").rglob("record.json")))


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_one_after_the_other(
    page: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    run = learner(here)
    if "leaderboard" in page:
        boards(here)
    places = {"RUN": run, "../colleague/results": "colleague/results", "folder:/data/new": "folder:new"}
    places |= dict.fromkeys(("folder:/path/to/images", "folder:/my/images"), "folder:images")
    places |= {"folder:/path/to/more": "folder:new", "split-cifar100": "split-digits"}  # CIFAR-100 is not here
    for words in walk(page):
        line = [places.get(word, word) for word in words]
        if line[:2] == ["run", "--from"] and "--stream" not in line and "--at" not in line:
            continue  # the rest of a stream: the run at hand has none left
        if line[0] == "run":
            line += [word for word in FAST if "--limit" not in line or word not in FAST[:2]]
        if line[:2] == ["run", "--from"]:
            line = [word for word in line if word not in FAST[:2]]
            line = ["1" if before == "--at" else word for before, word in zip(["", *line], line, strict=False)]
        code = call(line)
        said = capsys.readouterr()
        assert code == 0, f"clbench {' '.join(words)}: {said.err}"
