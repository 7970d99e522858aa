"""The page "Declare a stream": its example runs as it stands there; `info` shows it, with a sheet of its images."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import cl
from cl.cli.app import cli

PAGE = Path(__file__).parents[2] / "docs" / "declare-a-stream.md"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the page, and packs of the digits under the names that it reads."""
    from cl.streams.digits import digits

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLBENCH_RESULTS", str(tmp_path / "results"))
    found = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "three-digits.toml"
    path.write_text(found[0], encoding="utf-8")
    (tmp_path / "data").mkdir()
    whole = digits().train
    for place, name in enumerate(("usps_numerals", "mnist", "kannada_mnist")):
        rows = np.concatenate([np.flatnonzero(whole.labels == label)[place::3][:8] for label in range(10)])
        split = (np.arange(len(rows)) % 8 >= 6).astype(np.uint8)
        classes = np.array([str(label) for label in range(10)])
        images, labels = whole.pixels[rows, :, :, 0], whole.labels[rows].astype(np.int16)
        np.savez(tmp_path / "data" / f"{name}.npz", images=images, labels=labels, split=split, classes=classes)
    return path


def test_the_example_runs(example: Path) -> None:
    result = cl.run("simplecil", example.name, limit=4).record["result"]
    assert [group["name"] for group in result["stream"]["groups"]] == ["usps", "mnist", "kannada"]
    assert result["count"] == [20, 20, 20] and result["metrics"]["til_oracle"]["A_last_task"] > 0.2


def test_the_example_as_domains(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    example.write_text(text.replace("task-incremental", "domain-incremental"), encoding="utf-8")
    result = cl.run("simplecil", example.name).record["result"]
    assert result["stream"]["class_names"] == [str(label) for label in range(10)]
    assert list(result["accuracy"]) == ["dil"] and result["metrics"]["dil"]["A_last_task"] > 0.2


def test_domains_only_learned_or_only_tested_run_and_are_shown(example: Path) -> None:
    text = example.read_text(encoding="utf-8").replace("task-incremental", "domain-incremental")
    usps, kannada = (f'files = ["{name}.npz"]\n' for name in ("usps_numerals", "kannada_mnist"))
    text = text.replace(usps, usps + 'splits = "train-only"\n').replace(kannada, kannada + 'splits = "test-only"\n')
    assert text.count("splits") == 2
    example.write_text(text, encoding="utf-8")
    result = cl.run("simplecil", example.name).record["result"]
    assert [group["name"] for group in result["stream"]["groups"]] == ["mnist", "kannada"]
    assert result["count"] == [20, 20] and result["accuracy"]["dil"]["correct"][0][0] is None, "not due yet"
    found = CliRunner().invoke(cli, ["info", example.name])
    assert re.search(r"usps +\d+ +10 +60 *\n +mnist +\d+ +10 +60 +20\n +kannada +\d+ +10 +20\n", found.output)
    assert "Not here" not in found.output


def test_info_shows_tasks_years_and_counts_and_draws_a_sheet(example: Path) -> None:
    found = CliRunner().invoke(cli, ["info", example.name, "--contact-sheet", "sheet.png"])
    assert found.exit_code == 0, found.output
    assert "task-incremental: 3 tasks, 30 classes, images 32x32, RGB" in found.output
    assert re.search(r"kannada +2019 +10 +60 +20\n", found.output)
    with Image.open(example.with_name("sheet.png")) as sheet:
        assert sheet.width > 800 and sheet.height == 3 * 70 + 6
        colours = np.unique(np.asarray(sheet)[:70, 230:294].reshape(-1, 3), axis=0)
    assert len(colours) > 4, "there are images on it"


def test_info_without_the_data_says_what_is_needed(example: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "mnist.npz").unlink()
    found = CliRunner().invoke(cli, ["info", example.name])
    assert (
        found.exit_code == 0
        and "not known without the data: Stream three-digits needs mnist (mnist.npz)" in found.output
    )
    left = CliRunner().invoke(cli, ["info", example.name, "--set", "stream.missing=skip"])
    assert "2 tasks" in left.output and "mnist: mnist.npz" in left.output


def test_built_in_declarations_are_listed_and_hold_what_they_say() -> None:
    from cl import registry

    listed = CliRunner().invoke(cli, ["list", "streams"]).output
    for name in ("*.toml", "nevis", "nevis-real", "nevis-short", "nevis-tiny", "pacs"):
        assert re.search(rf"^{re.escape(name)} +\w+", listed, re.MULTILINE)
    real = registry.streams.get("nevis-real").declaration()
    assert len(real.datasets) == 29 and all(entry.sha256 for entry in real.datasets)
    keys = [(entry.year, entry.name) for entry in real.datasets]
    assert keys == sorted(keys)
    assert [e.name for e in registry.streams.get("pacs").declaration().datasets] == [
        "photo",
        "art_painting",
        "cartoon",
        "sketch",
    ]


@pytest.mark.parametrize(
    ("name", "tasks", "multi", "development"),
    [("nevis", 106, 9, 92), ("nevis-short", 29, 2, 25), ("nevis-tiny", 7, 1, 6)],
)
def test_the_official_tables(name: str, tasks: int, multi: int, development: int) -> None:
    from cl.streams.nevis import _tasks

    rows = list(_tasks(name.removeprefix("nevis").removeprefix("-")))
    years = [int(row["year"]) for row in rows]
    assert len(rows) == tasks and years == sorted(years) and sum(year < 2020 for year in years) == development
    assert sum(row["labels"] == "multi" for row in rows) == multi
    if name == "nevis":
        assert len({row["name"] for row in rows}) == 97
