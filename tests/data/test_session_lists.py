"""TOPIC's session lists, on a small dataset in CIFAR-100's own form: numbers of the archive become rows of a store."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.data import session_lists
from cl.data.session_lists import NAMES, topic_rows
from cl.data.store import Dataset
from cl.errors import DataError, MissingData, UsageError
from cl.plan.plan import make_plan
from cl.streams.cifar import SplitCIFAR100
from tests.data.conftest import TinyCifar

FEW: dict[str, Any] = {"shots": 5, "lists": "topic"}


class Hundred(TinyCifar):
    """A hundred classes with seven training images and one test image each, in random order."""

    class_names = tuple(f"class{label}" for label in range(100))  # type: ignore[assignment]

    def __init__(self) -> None:
        rng = np.random.default_rng(3)
        self.labels = {"train": rng.permutation(np.repeat(np.arange(100), 7)), "test": rng.permutation(100)}
        self.pixels = {
            split: rng.integers(0, 256, (len(own), 32, 32, 3), np.uint8) for split, own in self.labels.items()
        }

    def dataset(self) -> Dataset:
        stores = self.stores()
        return Dataset("cifar100", stores["train"], stores["test"], self.class_names, origin="test")


HUNDRED = Hundred()


def listed() -> list[list[int]]:
    """For each session five numbers per class, the last five of the archive, backwards."""
    labels = HUNDRED.labels["train"]
    sessions = [range(first, first + 5) for first in range(60, 100, 5)]
    return [[int(n) for label in session for n in np.flatnonzero(labels == label)[:1:-1]] for session in sessions]


def write(folder: Path, numbers: list[list[int]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, own in zip(NAMES, numbers, strict=True):
        (folder / name).write_text("\n".join(map(str, own)) + "\n")


@pytest.fixture
def here(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with the archive's files and the lists, whose hash is that of the lists."""
    data = tmp_path / "data"
    HUNDRED.extracted(data)
    write(data / "index_list" / "cifar100", listed())
    flat = np.array([number for each in listed() for number in each], dtype="<i8")
    monkeypatch.setattr(session_lists, "SHA256", hashlib.sha256(flat.tobytes()).hexdigest())
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(data))
    return data


def test_rows_are_the_listed_images(here: Path) -> None:
    dataset = HUNDRED.dataset()
    found = topic_rows(dataset)
    assert sorted(found) == list(range(60, 100))
    for session, numbers in enumerate(listed()):
        for place, number in enumerate(numbers):
            row = found[60 + 5 * session + place // 5][place % 5]
            assert np.array_equal(dataset.train.pixels[row], HUNDRED.pixels["train"][number])
            assert dataset.train.labels[row] == HUNDRED.labels["train"][number]


def test_the_stream_has_topics_tasks_and_images_whatever_the_seeds(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset, family = HUNDRED.dataset(), SplitCIFAR100()
    monkeypatch.setattr(family, "read", lambda *_: dataset)

    def build(seed: int, **options: Any) -> Any:
        return family.build(SplitCIFAR100.Options(**{**FEW, **options}), order_seed=seed, data_seed=seed)

    stream = build(1)
    assert [len(each.classes) for each in stream.experiences] == [60] + [5] * 8
    assert stream.class_order.tolist() == list(range(100)) and stream.setting == "few-shot class-incremental"
    assert len(stream.experiences[0].train) == 60 * 7
    rows = topic_rows(dataset)
    for task, each in enumerate(stream.experiences[1:]):
        assert each.train.tolist() == sorted(
            int(row) for label in range(60 + 5 * task, 65 + 5 * task) for row in rows[label]
        )
    assert build(2).id == stream.id and stream.identity["options"]["lists"] == "topic"
    drawn = family.build(SplitCIFAR100.Options(shots=5, order="natural"), order_seed=1, data_seed=1)
    assert drawn.id != stream.id and "lists" not in drawn.options
    fewer = build(1, shots=2, train_per_class=3)  # a limit is for the first task
    assert [len(each.train) for each in fewer.experiences] == [180] + [10] * 8
    assert set(fewer.experiences[3].train) < set(stream.experiences[3].train)


def test_lists_that_are_missing_are_one_sentence_with_where_to_get_them(cache: Path) -> None:
    with pytest.raises(MissingData, match=r"lists for CIFAR-100 \(session_2.txt to session_9.txt\) were not") as caught:
        topic_rows(HUNDRED.dataset())
    for part in (str(cache), "github.com/xyutao/fscil", "index_list/cifar100", "CLBENCH_DATA_PATH"):
        assert part in str(caught.value)
    assert caught.value.exit_code == 3


def test_the_archive_is_needed_for_its_order(here: Path) -> None:
    for file in (here / "cifar-100-python").iterdir():
        file.unlink()
    (here / "cifar-100-python").rmdir()
    with pytest.raises(MissingData, match="CIFAR-100's own archive, whose order TOPIC's lists refer to"):
        topic_rows(HUNDRED.dataset())


def test_other_images_or_other_lists_are_refused(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stores = HUNDRED.stores()
    other = Dataset("cifar100", stores["test"], stores["test"], HUNDRED.class_names, origin="test")
    with pytest.raises(DataError, match="does not hold the training images of cifar100"):
        topic_rows(other)
    folder = here / "index_list" / "cifar100"
    (folder / "session_4.txt").write_text("12\n13\n")
    with pytest.raises(DataError, match="does not hold TOPIC's session lists for CIFAR-100 but other numbers"):
        topic_rows(HUNDRED.dataset())
    (folder / "session_4.txt").write_text("12\nthirteen\n")
    with pytest.raises(DataError, match=r"session_4.txt is not a list of whole numbers"):
        topic_rows(HUNDRED.dataset())
    wrong = listed()
    wrong[1][0] = wrong[0][0]
    write(folder, wrong)
    flat = np.array([number for each in wrong for number in each], dtype="<i8")
    monkeypatch.setattr(session_lists, "SHA256", hashlib.sha256(flat.tobytes()).hexdigest())
    with pytest.raises(DataError, match=r"session_3.txt does not list 5 training images of each class from 65 to 69"):
        topic_rows(HUNDRED.dataset())


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"lists": "topic"}, "lists=topic needs few-shot sessions: add --few-shot"),
        ({**FEW, "shots": 6}, r"set stream.shots to 1..5"),
        ({**FEW, "base": 50}, r"fixes the tasks \(60 classes, then 5 at a time\) and the natural order; leave base"),
        ({**FEW, "increment": 10}, "fixes the tasks"),
        ({**FEW, "tasks": 9}, "fixes the tasks"),
        ({**FEW, "order": "python"}, "fixes the tasks"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence_before_anything_is_read(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        SplitCIFAR100().build(SplitCIFAR100.Options(**options), order_seed=1, data_seed=1)


def test_it_is_an_option_of_the_command_line() -> None:
    plan = make_plan("simplecil", "split-cifar100", few_shot=True, options={"stream.lists": "topic"})
    assert plan.stream_options.lists == "topic"
    assert make_plan("simplecil", "split-cifar100").config_hash == "e0220a18", "records without lists keep their place"
    with pytest.raises(UsageError, match="lists must be one of none, topic"):
        make_plan("simplecil", "split-cifar100", options={"stream.lists": "tpoic"})
