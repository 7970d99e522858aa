"""Which prediction rules answer in a setting."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl import protocol


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))


def test_rules_of_a_setting() -> None:
    declared = ("cil_seen", "til_masked")
    assert protocol.rules_on(declared, "class-incremental") == declared
    assert protocol.rules_on(declared, "task-incremental") == ("til_oracle",)
    assert protocol.rules_on(declared, "domain-incremental") == ("dil",)
