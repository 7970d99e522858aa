"""Damaged files of small runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tools.soak.damage import KINDS, Case, _same_image, attempt
from tools.soak.outcome import Ended
from tools.soak.scenarios import SCENARIOS, Workshop


@pytest.mark.parametrize("kind", ["record.json", "decoded: meta", "stream file"])
def test_a_damaged_file_is_noticed_or_does_not_matter(workshop: Workshop, kind: str) -> None:
    outcome = attempt(workshop, list(KINDS).index(kind), seed=0)
    assert outcome.kind == kind
    assert not outcome.failed, outcome.why


@pytest.mark.slow
def test_every_kind_of_file(workshop: Workshop) -> None:
    for number in range(len(KINDS)):
        outcome = attempt(workshop, number, seed=1)
        assert not outcome.failed, outcome.why


def case(workshop: Workshop, kind: str, name: str) -> Case:
    """A case in a complete run, whose file is not damaged yet."""
    workshop.scenario = SCENARIOS["toml"]
    workshop.enter("complete")
    path = (workshop.work if "." in kind[:1] or kind == "stream file" else workshop.folder) / name
    return Case(workshop, kind, "complete", path, path.read_bytes())


def test_bytes_after_an_image_do_not_change_it(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    Image.new("RGB", (4, 4), (1, 2, 3)).save(path)
    before = path.read_bytes()
    path.write_bytes(before + b"more")
    assert _same_image(before, path)
    Image.new("RGB", (4, 4), (1, 2, 4)).save(path)
    assert not _same_image(before, path)
    path.write_bytes(before[:-30])
    assert not _same_image(before, path)


def test_another_result_without_a_word_is_silent(workshop: Workshop) -> None:
    found = case(workshop, "record.json", "record.json")
    undisturbed = workshop.whole.result
    workshop.whole.result = {**undisturbed, "limited": "another"}  # as if this run had computed another result
    try:
        verdict, why = found.rerun("run")
    finally:
        workshop.whole.result = undisturbed
    assert (verdict, why) == ("silent", "run: exit code 0 and another result: limited")


def test_another_table_without_a_word_is_silent(workshop: Workshop) -> None:
    found = case(workshop, "predictions.npz", "predictions.npz")
    normal = found.readers()["leaderboard"]
    assert normal.code == 0 and found.read("leaderboard", normal) == ("equal", "")
    other = Ended(0, normal.out.replace("simplecil", "slca"), normal.err)
    assert found.read("leaderboard", other)[0] == "silent"
    noted = Ended(0, normal.out + "one run is damaged\n", normal.err + "WARNING: a record is damaged\n")
    assert found.read("leaderboard", noted)[0] == "warned"


def test_a_new_stream_file_is_another_run(workshop: Workshop) -> None:
    found = case(workshop, "stream file", "stream.toml")
    text = found.path.read_text()
    found.path.write_text(text.replace('title = "Two', 'title = "Twice two'))
    verdict, why = found.rerun("run")
    assert verdict in ("equal", "other", "sentence"), why  # by whether the title is part of the identity
    found.path.write_text(text.replace("setting", "sitting"))
    verdict, why = found.rerun("run")
    assert verdict == "sentence" and "sitting" in why


def test_a_record_of_another_run_does_not_count_for_this_one(workshop: Workshop) -> None:
    found = case(workshop, "record.json", "record.json")
    record = json.loads(found.path.read_text())
    record["result"]["seeds"]["order"] += 1  # its hash does not fit
    found.path.write_text(json.dumps(record))
    verdict, why = found.rerun("run")
    assert verdict in ("equal", "warned", "sentence"), why
