"""The commands of README and of the documentation, run in their order in one folder, as a new user would.

What needs a network, a cluster or another shell is named in `ELSEWHERE`. Runs get a limit of images, so that a walk
takes minutes.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch

from cl.cli import call
from tests.docs.test_docs import command_lines
from tests.help.environments import ROOT
from tests.help.image_folders import save, tree

PAGES = (
    "README.md",
    *(
        f"docs/{name}.md"
        for name in (
            "getting-started", "using-a-run", "which-method", "leaderboard", "plots-and-report", "metrics", "records",
            "reliability", "streams", "strategies", "cli", "tuning", "scale", "data-and-weights", "avalanche",
        )
    ),
)  # fmt: skip

OTHERS = {
    "docs/add-a-metric-or-logger.md": "tests/end_to_end/test_plugin_wheel.py",
    "docs/add-a-strategy.md": "tests/end_to_end/test_plugin_wheel.py",
    "docs/add-a-stream.md": "tests/end_to_end/test_plugin_wheel.py",
    "docs/claims.md": "tests/docs/test_claims_page.py",
    "docs/declare-a-stream.md": "tests/docs/test_declare_a_stream_page.py",
    "docs/paper.md": "tests/docs/test_paper_page.py",
    "docs/your-own-images.md": "tests/docs/test_your_own_images_page.py",
}
"""Pages whose commands are run by another test."""

ELSEWHERE = {
    "vit_base_patch16_224": "its weights have to be there",
    "open_clip:": "likewise",
    "tinyimagenet_60": "images that the embedded backbone was trained on",
    "F_pretraining": "a run with such a probe",
    "--kind pretraining": "likewise",
    "imagenet-r": "its images have to be there",
    "long-tailed": "slca needs two images of each class; the last classes of digits keep one",
    "--preset small": "a preset for split-cifar100, whose images are not here",
    "--preset split-mnist": "likewise",
    "split-omniglot": "its images have to be there",
    "data get cifar100": "the network",
    "data verify cifar100": "likewise",
    "data remove cifar100": "likewise",
    "data get nevis$": "likewise",
    "data get path_mnist$": "likewise",
    "avalanche/split-": "its images are fetched",
    "s3://": "the network",
    "hf://": "likewise",
    "--executor ray": "tests/executors/test_ray.py",
    "--executor slurm": "tests/executors/test_slurm.py",
    "benchmarks/nevis.toml": "tests/benchmarks",
    "--budget-minutes": "half an hour",
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
    return [words for words in found if not any(re.search(part, " ".join(words)) for part in ELSEWHERE)]


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


def other_runs(page: str, here: Path) -> dict[str, str]:
    """Runs beside `learner` that a page names."""
    found = {}
    for word, strategy in {"JOINT_RUN": "joint", "RUN_B": "simplecil"}.items():
        if word in (ROOT / page).read_text(encoding="utf-8"):
            run = ["run", "-s", strategy, "--stream", "folder:images", "--set", "stream.tasks=2", "--results", word]
            assert call([*run, *FAST[2:]]) == 0
            found[word] = str(next(path.parent for path in (here / word).rglob("record.json")))
    return found


GRID = """
strategies = ["simplecil", "ncm"]
streams = ["split-digits"]

[options]
"stream.train_per_class" = 10
"""

PLACES = {
    "../colleague/results": "colleague/results",
    "../laptop/results": "colleague/results",
    "../theirs": "colleague/results",
    "folder:/data/new": "folder:new",
    "folder:/my/images": "folder:images",
    "folder:/path/to/images": "folder:images",
    "folder:/path/to/more": "folder:new",
    "node1": "results",
    "node2": "colleague/results",
    "split-cifar100": "split-digits",  # CIFAR-100 is not here, nor is MNIST
    "split-mnist": "split-digits",
    "rotated-mnist": "rotated-digits",
}
"""What stands for the words of a page."""

FEWER = {"--trials": "2", "--jobs": "2", "--flips": "1,2", "--at": "1"}
"""Values of options that take less time, or fit the run at hand."""


def here_called(words: list[str], places: dict[str, str]) -> list[str]:
    """The command with the names of what is here."""
    line = [places.get(word, word) for word in words]
    line = [FEWER.get(before, word) for before, word in zip(["", *line], line, strict=False)]
    if line[:2] == ["run", "--from"]:
        return [*line, *FAST[2:]]
    if line[0] == "run":
        line += [word for word in FAST if "--limit" not in line or word not in FAST[:2]]
    if line[0] == "tune" and line[1] != "show":
        line += ["--set", "epochs=1", "--limit", "10", "--progress", "none"]
    study = next(iter(sorted(Path("results").glob("tune/*.journal"))), None)
    return [word if study is None else word.replace("results/tune/STUDY", str(study.with_suffix(""))) for word in line]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_run_one_after_the_other(
    page: str, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.set_num_threads(1)
    run = learner(here)
    if page.removeprefix("docs/") in ("leaderboard.md", "plots-and-report.md", "records.md"):
        boards(here)
    (here / "grid.toml").write_text(GRID)
    shutil.copy(here / "grid.toml", here / "GRID.toml")
    places = PLACES | {"RUN": run, "RUN_A": run, **other_runs(page, here)}
    for words in walk(page):
        if words[:2] == ["run", "--from"] and "--stream" not in words and "--at" not in words:
            continue  # the rest of a stream: the run at hand has none left
        code = call(here_called(words, places))
        said = capsys.readouterr()
        assert code == 0, f"clbench {' '.join(words)}: {said.err}"


def test_commands_of_every_page_are_run_somewhere() -> None:
    pages = ["README.md", *(f"docs/{path.name}" for path in sorted((ROOT / "docs").glob("*.md")))]
    with_commands = [page for page in pages if list(command_lines((ROOT / page).read_text(encoding="utf-8")))]
    assert sorted(with_commands) == sorted([*PAGES, *OTHERS])
    assert all((ROOT / test).is_file() for test in OTHERS.values())
