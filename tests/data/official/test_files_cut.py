"""Files that end too early or are named and not there: one sentence instead of fewer images."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.data.official.files import Files, Folder, open_source
from cl.errors import DataError
from tools.miniatures.packing import tar_bytes

BLOCK = 512


def test_a_tar_that_was_cut_between_two_members_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    data = tar_bytes({"one": b"1", "two": b"2"})
    path.write_bytes(data)
    assert Files([open_source(path)], "here").names == ("one", "two")
    path.write_bytes(data[: 2 * BLOCK])  # the header and the content of the first
    with pytest.raises(DataError, match=r"a.tar: it is truncated or damaged \(it ends in the middle\)"):
        open_source(path)


@pytest.mark.parametrize("kept", [2 * BLOCK, 4 * BLOCK])
def test_a_cut_tar_in_a_tar_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "outer.tar"
    inner = tar_bytes({"one": b"1", "two": b"2"})
    path.write_bytes(tar_bytes({"inner.tar": inner, "other.tar": inner[:kept]}))
    outer = Files([open_source(path)], "here")
    assert outer.inside("inner.tar").read("two") == b"2"
    with pytest.raises(DataError, match="it ends in the middle"):
        outer.inside("other.tar")


def test_a_file_that_is_not_there_has_no_stamp(tmp_path: Path) -> None:
    files = Files([Folder(tmp_path, ("",))], "here")
    for use in (files.stamp, files.read):
        with pytest.raises(DataError, match=r"here has no file lost\.jpg; get the whole dataset"):
            use("lost.jpg")
