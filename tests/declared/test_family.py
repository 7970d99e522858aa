"""Declared streams in a plan: their setting, and a version that changes with the declaration."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.errors import UsageError
from cl.plan.plan import make_plan


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))


def test_the_plan_of_a_file_knows_what_it_declares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = 'name = "mine"\nsetting = "domain-incremental"\nsize = 8\n[[datasets]]\nname = "a"\nreader = "stream"\n'
    Path("mine.toml").write_text(text + 'stream = "split-digits"\n')
    plan = make_plan("simplecil", "mine.toml")
    before = plan.config_hash
    assert plan.stream == str((tmp_path / "mine.toml").resolve()), "it can be resumed from anywhere"
    Path("mine.toml").write_text(text.replace("size = 8", "size = 9") + 'stream = "split-digits"\n')
    assert make_plan("simplecil", "mine.toml").config_hash != before, "another declaration is another run"
    with pytest.raises(UsageError, match=r"There is no stream file .*nothing\.toml"):
        make_plan("simplecil", "nothing.toml")
