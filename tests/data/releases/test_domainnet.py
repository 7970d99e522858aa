"""DomainNet-Real: classes have the authors' numbers, and odd lists are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.data.official.files import Files, Folder
from cl.data.releases.domainnet import RELEASE
from cl.errors import DataError
from tools.miniatures.packing import write_files

LINES = ("real/wheel/real_002_000001.jpg 1", "real/zebra/real_001_000001.jpg 0")


def files(tmp_path: Path, *test: str) -> Files:
    lists = {"real_train.txt": "\n".join(LINES).encode(), "real_test.txt": "\n".join(test or LINES).encode()}
    write_files(tmp_path, lists)
    return Files([Folder(tmp_path, ("",))], "here")


def test_classes_are_numbered_as_in_the_lists(tmp_path: Path) -> None:
    listing = RELEASE.read(files(tmp_path))
    assert listing.class_names == ("zebra", "wheel")
    assert listing.splits["train"].labels.tolist() == [1, 0]


@pytest.mark.parametrize("line", ["real/zebra/1.jpg", "real/zebra/1.jpg one", "zebra/1.jpg 0", "real/zebra/1.jpg 1"])
def test_an_odd_line_is_one_sentence(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match=r"^real_test\.txt of here has an odd line '.*zebra.*'; get it again\.$"):
        RELEASE.read(files(tmp_path, *LINES, line))
