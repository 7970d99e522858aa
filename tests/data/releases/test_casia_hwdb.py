"""CASIA-HWDB: files of characters that are damaged, and codes of no character."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.data.official.files import Files, Folder
from cl.data.releases.casia_hwdb import RELEASE
from cl.errors import DataError

RECORD = (10 + 6).to_bytes(4, "little") + b"\xb0\xa1" + (3).to_bytes(2, "little") + (2).to_bytes(2, "little")
PIXELS = bytes(range(6))


def files(folder: Path, content: bytes) -> Files:
    (folder / "Gnt1.1Test").mkdir()
    (folder / "Gnt1.1Test" / "1241-c.gnt").write_bytes(content)
    return Files([Folder(folder, ("Gnt1.1Test",))], "here")


def test_a_record_is_a_character(tmp_path: Path) -> None:
    strange = RECORD.replace(b"\xb0\xa1", b"\xff\xff") + PIXELS
    listing = RELEASE.read(files(tmp_path, RECORD + PIXELS + strange))
    assert listing.class_names == ("啊", "0xffff")
    assert listing.splits["test"].decode(0)[..., 0].tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (RECORD + PIXELS[:5], "ends in the middle"),
        (RECORD + PIXELS + RECORD[:7], "ends in the middle"),
        (RECORD + PIXELS + b"\x01" + RECORD[1:] + PIXELS, "damaged after 16 bytes"),
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, content: bytes, why: str) -> None:
    with pytest.raises(DataError, match=rf"^Gnt1\.1Test/1241-c\.gnt of here .*{why}.*get its archive again\.$"):
        RELEASE.read(files(tmp_path, content))
