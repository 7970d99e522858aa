"""`clbench info` of a stream: its tasks, years and counts, and a sheet of its images."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from PIL import Image

import cl
from cl.cli.app import cli
from tests.help.image_folders import tree


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
    names = r" +0, 1, 2, 3, 4, 5, 6, 7, 8, 9\n"
    shown = rf"usps +\d+ +10 +60{names} +mnist +\d+ +10 +60 +20{names} +kannada +\d+ +10 +20{names}"
    assert re.search(shown, found.output)
    assert "Not here" not in found.output


def test_info_shows_tasks_years_and_counts_and_draws_a_sheet(example: Path) -> None:
    found = CliRunner().invoke(cli, ["info", example.name, "--contact-sheet", "sheet.png"])
    assert found.exit_code == 0, found.output
    assert "task-incremental: 3 tasks, 30 classes, images 32x32, RGB" in found.output
    assert re.search(r"kannada +2019 +10 +60 +20 +0, 1, 2, 3, 4, 5, 6, 7, 8, 9\n", found.output)
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


def test_info_names_the_classes_of_each_task(cache: Path, tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", {f"animal number {number:02}": 2 for number in range(25)})
    command = ["info", f"folder:{root}", "--set", "stream.sizes=2,23", "--set", "stream.order=natural"]
    found = CliRunner().invoke(cli, command, env={"COLUMNS": "100"})
    assert "task0        2      2     2  animal number 00, animal number 01\n" in found.output
    (line,) = [line for line in found.output.splitlines() if "task1" in line]
    assert line.endswith("animal number 04, ...") and len(line) <= 100
    rows = json.loads(CliRunner().invoke(cli, [*command, "--json"]).output)["tasks"]
    assert rows[1]["class_names"] == [f"animal number {number:02}" for number in range(2, 25)]
    narrow = CliRunner().invoke(cli, command, env={"COLUMNS": "60"})
    (line,) = [line for line in narrow.output.splitlines() if line.startswith("  task1: ")]
    assert line.endswith("animal number 02, animal number 03, ...") and len(line) <= 60
