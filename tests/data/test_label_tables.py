"""Classes of images in a table beside them: what is read, and what is refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.data.label_tables import LabelTable, columns_of, find
from cl.errors import DataError, UsageError
from tests.help.declared import build
from tests.help.image_folders import folder, save, tree

NAMED = {"image_column": "file", "label_column": "kind"}
KINDS = ("cat", "ant", "dog")


@pytest.fixture
def flat(cache: Path, tmp_path: Path) -> Path:
    """A folder of 18 images without class folders."""
    for number in range(18):
        save(tmp_path / "photos" / f"{number:02}.png", seed=number)
    return tmp_path / "photos"


def rows(count: int = 18) -> list[dict[str, Any]]:
    split = ("train", "Training", "TEST")
    return [{"file": f"{n:02}.png", "kind": KINDS[n % 3], "part": split[n // 3 % 3]} for n in range(count)]


def csv_of(table: list[dict[str, Any]], delimiter: str = ",") -> str:
    lines = [delimiter.join(table[0]), *(delimiter.join(map(str, row.values())) for row in table)]
    return "\n".join(lines) + "\n"


def test_a_table_gives_the_stream_of_class_folders(flat: Path, tmp_path: Path) -> None:
    for row in rows():
        target = tmp_path / "sorted" / "photos" / row["kind"] / row["file"]
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((flat / row["file"]).read_bytes())
    by_folders = folder(tmp_path / "sorted" / "photos")
    forms = {
        "a.csv": csv_of(rows()), "b.csv": "\ufeff" + csv_of(rows(), ";"), "c.tsv": csv_of(rows(), "\t"),
        "d.json": json.dumps(rows()), "e.jsonl": "\n".join(map(json.dumps, rows())),
        "f.csv": csv_of([row | {"file": row["file"].removesuffix(".png")} for row in rows()]),
        "g.csv": csv_of([row | {"file": f"photos\\{row['file']}"} for row in reversed(rows())]),
    }  # fmt: skip
    for name, text in forms.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        stream = folder(flat, labels=name, **NAMED)
        assert stream.id == by_folders.id and stream.dataset.class_names == ("ant", "cat", "dog"), name
        assert "labels" not in stream.options, "a path of this machine"
    with_split = folder(flat, labels="a.csv", split_column="part", **NAMED)
    assert np.bincount(with_split.dataset.train.labels).tolist() == [4, 4, 4] and len(with_split.dataset.test) == 6
    assert with_split.id == folder(flat, labels="a.csv", split_column="part", split_seed=5, **NAMED).id


def test_numbers_are_classes_in_their_own_order(flat: Path) -> None:
    (flat / "labels.json").write_text(json.dumps([row | {"kind": n % 3 * 5} for n, row in enumerate(rows())]))
    assert folder(flat, labels="labels.json", **NAMED).dataset.class_names == ("0", "5", "10")


def test_other_classes_of_the_same_files_are_not_taken_from_the_cache(
    flat: Path, caplog: pytest.LogCaptureFixture
) -> None:
    found = []
    for first in (9, 10):  # the files come in the same order, and the tenth is of another class
        table = [row | {"kind": "ant" if n < first else "bee", "part": "train"} for n, row in enumerate(rows())]
        for n in (0, 17):
            table[n]["part"] = "test"
        (flat / "labels.csv").write_text(csv_of(table))
        stream = folder(flat, labels="labels.csv", split_column="part", **NAMED)
        found.append(np.bincount(stream.dataset.train.labels).tolist())
    assert found == [[8, 8], [9, 7]] and not caplog.records, "the cache of the first is not damaged"


def test_images_that_are_not_listed_are_counted(flat: Path) -> None:
    (flat / "labels.csv").write_text(csv_of(rows(12)))
    (flat / "more.csv").write_text("x\n")
    assert folder(flat, labels="labels.csv", **NAMED).dataset.notes == (
        "Left out: 2 files (2 .csv).", "Left out: 6 images that labels.csv does not list."
    )  # fmt: skip


def test_columns_are_never_guessed(flat: Path) -> None:
    (flat / "labels.csv").write_text(csv_of(rows()))
    shown = r"labels.csv has the columns file, kind, part"
    for given, sentence in (
        ({}, f"{shown}; name the column of the files with image_column and that of the classes with label_column"),
        ({"image_column": "file"}, f"{shown}; name the column"),
        ({**NAMED, "label_column": "class"}, f"{shown}, and no 'class'; set label_column to one of them"),
        ({**NAMED, "split_column": "split"}, f"{shown}, and no 'split'; set split_column to one of them"),
    ):
        with pytest.raises(UsageError, match=sentence):
            folder(flat, labels="labels.csv", **given)
    with pytest.raises(
        UsageError, match=r"to read the classes there, set stream.labels=labels.csv.*\(it has file, kind"
    ):
        folder(flat)
    with pytest.raises(UsageError, match=r"The columns belong to a table with the classes; set stream.labels"):
        folder(flat, **NAMED)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", "file,file\na,b\n", "must begin with a line that gives each column a name of its own"),
        ("a.csv", "file,kind\n", "has no rows; write one for each image"),
        ("a.csv", "file,kind\n00.png,a,b\n", "Line 2 of .* has 3 cells, and the first line has 2"),
        ("a.csv", "file,kind\n00.png, \n", "Row 2 of .* has no text and no whole number in column 'kind'"),
        (
            "a.json",
            "{",
            r"a.json is not JSON \(Expecting .*\); write it as \[\{\"file\": \"a.jpg\", \"class\": \"cat\"\}, \.\.\.\]",
        ),
        (
            "a.jsonl",
            '{"file": "00.png", "kind": 1}\n{"file"}\n',
            r"Line 2 of .*a.jsonl is not JSON \(.*\); write one object",
        ),
        ("a.csv", 'file,kind\n"00.png,a\n', r"a.csv is no table of cells \(unexpected end of data\); close the quotes"),
        ("a.json", '{"00.png": "cat"}', "holds no list of rows; write it as"),
        ("a.json", '[{"file": "00.png", "kind": true}]', "no whole number in column 'kind'"),
        ("a.json", '[{"file": "00.png", "kind": ["a", "b"]}]', "no whole number in column 'kind'"),
        (
            "a.csv",
            "file,kind\n00.png,a\nno.png,a\n../b.png,a\n",
            r"lists 2 images that are not in .*: no.png, ../b.png;",
        ),
        ("a.csv", "file,kind\n00.png,a\n00.png,b\n", "more than one class or split to 1 image: 00.png; clbench reads"),
    ],
)
def test_other_tables_are_refused(flat: Path, name: str, content: str, sentence: str) -> None:
    save(flat.parent / "b.png")
    (flat / name).write_text(content)
    with pytest.raises(DataError, match=sentence):
        folder(flat, labels=name, **NAMED)


def test_a_table_in_another_encoding_or_closed_to_us(flat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (flat / "a.csv").write_bytes("file,kind\n00.png,café\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"Cannot read .*a\.csv \(.*\); write it again in UTF-8"):
        folder(flat, labels="a.csv", **NAMED)

    def closed(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", closed)
    with pytest.raises(DataError, match=r"Cannot read .*a\.csv \(Permission denied\); check its permissions"):
        folder(flat, labels="a.csv", **NAMED)


def test_splits_of_a_table(flat: Path) -> None:
    def read(*parts: str) -> Any:
        table = [row | {"part": parts[n // 6 % len(parts)]} for n, row in enumerate(rows())]
        (flat / "labels.csv").write_text(csv_of(table))
        return folder(flat, labels="labels.csv", split_column="part", **NAMED).dataset

    three = read("train", "val", "test")
    assert (len(three.train), len(three.test)) == (6, 6) and "Left out: 6 images of the split val" in three.notes[-1]
    two = read("train", "valid")
    assert (len(two.train), len(two.test)) == (12, 6)
    with pytest.raises(DataError, match=r"No row of the labels of .* is one of test"):
        read("train")
    with pytest.raises(DataError, match=r"Row 8 of .* has the split 'extra'; write train, test or val"):
        read("train", "extra")


def test_a_table_is_found_next_to_its_images(flat: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no file none.csv in .*photos or next to it; set labels"):
        find(LabelTable("none.csv"), flat)
    (tmp_path / "labels.xlsx").touch()
    with pytest.raises(UsageError, match=r"labels.xlsx is no table that clbench reads; write it as .csv, .tsv"):
        find(LabelTable("labels.xlsx"), flat)
    assert columns_of(tmp_path / "none.csv") == []


def test_a_table_in_a_stream_file(flat: Path, tmp_path: Path) -> None:
    (tmp_path / "kinds.csv").write_text(csv_of(rows()))
    text = """
name = "mine"
setting = "class-incremental"
size = 8

[[datasets]]
name = "photos"
reader = "folder"
path = "photos"
labels = "kinds.csv"
image_column = "file"
label_column = "kind"
"""
    (tmp_path / "mine.toml").write_text(text)
    stream = build(tmp_path / "mine.toml")
    assert stream.dataset.class_names == ("photos/ant", "photos/cat", "photos/dog")
    alone = folder(flat, labels="kinds.csv", **NAMED)
    assert stream.dataset.fingerprints == alone.dataset.fingerprints
    for wrong, sentence in (
        (text.replace('labels = "kinds.csv"\n', ""), "'image_column' is a column of a table with the classes"),
        (text.replace('"folder"\npath = "photos"', '"stream"\nstream = "split-digits"'), "does not take 'labels'"),
    ):
        (tmp_path / "wrong.toml").write_text(wrong)
        with pytest.raises(UsageError, match=sentence):
            build(tmp_path / "wrong.toml")
    tree(tmp_path / "photos2", {"a": 2})
