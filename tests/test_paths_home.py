"""Where clbench keeps its files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cl import paths


def test_home_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path))
    assert paths.home() == tmp_path
    monkeypatch.delenv("CLBENCH_HOME")
    if os.name == "posix" and os.uname().sysname == "Linux":
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
        assert paths.home() == tmp_path / "clbench"
