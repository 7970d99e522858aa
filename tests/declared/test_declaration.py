"""Stream files: every mistake is one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.declared.declaration import Declaration, load
from cl.errors import UsageError
from cl.registry import streams
from tests.help.declared import Write, build


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("setting", "seting", "unknown key 'seting'. Did you mean setting"),
        ("task-incremental", "task-incrementl", "setting must be one of .* Did you mean task-incremental"),
        ("size = 16", 'size = "big"', "size must be a whole number"),
        ("size = 16", "", "lacks 'size'"),
        ("size = 16", "size = 0", "1..4096"),
        ('reader = "pack"', 'reader = "pak"', r"dataset 1 \(grey\): reader must be one of pack, folder, stream"),
        ('files = ["grey.npz"]', 'path = "grey"', "reader 'pack' needs 'files'"),
        ('files = ["grey.npz"]', 'files = ["grey.npz"]\npath = "grey"', "does not take 'path'"),
        ('name = "colour"', 'name = "grey"', "two datasets are called 'grey'"),
        ("year = 1990", 'classes = ["dgo"]', "Dataset grey of three has no class 'dgo'. Did you mean dog"),
        ("year = 1990", "tasks = 3", "has 2 classes, too few for tasks = 3"),
        ("year = 1990", "tasks = 0", "tasks must be at least 1"),
        ("year = 1990", 'sha256 = ["abc"]', "64 hexadecimal digits"),
        ("[[datasets]]", "[[dataset]]", "declares no datasets"),
        ("size = 16", "size = ", "is not valid TOML"),
    ],
)
def test_what_cannot_be_is_one_sentence(write: Write, old: str, new: str, message: str) -> None:
    path = write()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(UsageError, match=message) as caught:
        build(path)
    assert "\n" not in str(caught.value)


def test_a_domain_is_one_task(write: Write) -> None:
    with pytest.raises(UsageError, match="a domain is one task"):
        load(write("domain-incremental", tables={"grey": "tasks = 2\n"}))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no stream file"):
        load(tmp_path / "nothing.toml")


@pytest.mark.parametrize(
    ("name", "digest"),
    [("nevis-real", "c823327a"), ("nevis-large", "a787e0d1"), ("pacs", "43867bd7"), ("5-datasets", "b9b6f769")],
)
def test_streams_with_records_keep_their_digests(name: str, digest: str) -> None:
    """The digests with which the runs in results/reference were made."""
    declared: Declaration = streams.get(name).declaration()
    assert declared.digest == digest
    told = {entry.domain for entry in declared.datasets}
    assert all(told) if name.startswith("nevis") else told == {""}


def test_what_images_show_is_no_part_of_the_identity(write: Write) -> None:
    plain = load(write())
    path = write(tables={name: 'domain = "ocr"\n' for name in ("grey", "colour", "large")})
    told = load(path)
    assert [entry.domain for entry in told.datasets] == ["ocr"] * 3 and told.digest == plain.digest
    stream = build(path)
    assert [(group.year, group.domain) for group in stream.groups] == [(e.year, "ocr") for e in plain.datasets]
    assert stream.groups[0].year is not None and stream.id == build(write()).id
