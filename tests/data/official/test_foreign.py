"""Archives that only other programs unpack, and the commands that unpack them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from cl.data.official.foreign import how_to_unpack


def test_the_commands_name_the_folder_and_the_archive(tmp_path: Path) -> None:
    folder = tmp_path / "my data"
    folder.mkdir()
    (folder / "a b.rar").write_bytes(b"Rar!\x1a\x07\x00")
    (folder / "b.7z").write_bytes(b"7z\xbc\xaf\x27\x1c\x00")
    assert how_to_unpack(folder / "a b.rar").endswith(
        f"unpack it first: `cd '{folder}'`, then `bsdtar -xf 'a b.rar'`, `unrar x 'a b.rar'` or `7z x 'a b.rar'`"
    )
    assert "unrar" not in how_to_unpack(folder / "b.7z") and "`7z x ../b.7z`" in how_to_unpack(folder / "b.7z", "in")


def test_other_files_need_no_program(tmp_path: Path) -> None:
    for name, content in ("a.rar", b"PK\3\4"), ("empty.rar", b""), ("text", b"Rar"):
        (tmp_path / name).write_bytes(content)
        assert how_to_unpack(tmp_path / name) == ""


@pytest.mark.skipif(shutil.which("7z") is None, reason="7z is not installed")
def test_the_command_unpacks(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_text("x")
    (tmp_path / "in").mkdir()
    subprocess.run(["7z", "a", "a.7z", "x.txt"], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    commands = re.findall("`([^`]*)`", how_to_unpack(tmp_path / "a.7z", "in"))
    folder = shlex.split(commands[0])[1]
    subprocess.run(shlex.split(commands[-1]), cwd=folder, check=True, stdout=subprocess.DEVNULL)
    assert (tmp_path / "in" / "x.txt").is_file()
