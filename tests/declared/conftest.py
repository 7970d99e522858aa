"""Fixtures of the tests of declared streams."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.help.declared import HEAD, TABLE, Write, pack


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Three datasets of other sizes and channels on the data path, and a stream file over them."""
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(data))
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    pack(data / "grey.npz", ("dog", "cat"), 8, 1)
    pack(data / "colour.npz", ("cat", "dog", "owl"), 16, 3)
    pack(data / "large.npz", ("dog", "owl", "cat"), 24, 3)

    def go(setting: str = "task-incremental", more: str = "", tables: dict[str, str] | None = None) -> Path:
        path = tmp_path / "three.toml"
        chosen = {"grey": "", "colour": "", "large": ""} if tables is None else tables
        text = HEAD.format(setting=setting, more=more)
        years = range(1990, 2020)
        path.write_text(
            text
            + "".join(TABLE.format(name=n, year=y, more=m) for (n, m), y in zip(chosen.items(), years, strict=False))
        )
        return path

    return go
