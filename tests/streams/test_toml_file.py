"""Stream files as stream names: the file is found from anywhere, and mistakes are one sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.errors import UsageError
from cl.family import make_stream
from cl.streams.toml_file import TomlFile

TEXT = """
name = "halves"
setting = "class-incremental"
size = 8
[[datasets]]
name = "digits"
reader = "stream"
stream = "split-digits"
tasks = 2
"""


def test_a_path_that_ends_in_toml_is_a_stream(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "halves.toml").write_text(TEXT)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert TomlFile.declaration("~/halves.toml").name == "halves"
    stream = make_stream(str(tmp_path / "halves.toml"))
    assert stream.name == "halves" and [len(e.classes) for e in stream.experiences] == [5, 5]


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"There is no stream file .*gone\.toml; give the path of a TOML file"):
        TomlFile.declaration(str(tmp_path / "gone.toml"))
