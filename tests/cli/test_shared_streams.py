"""Names of streams on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest


def test_several_names_are_separated_by_commas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cl.cli.shared import streams_in
    from cl.plan.plan import make_plan

    assert streams_in(("avalanche/split-mnist,split-digits",)) == ["avalanche/split-mnist", "split-digits"]
    (tmp_path / "split-mnist").mkdir()
    monkeypatch.chdir(tmp_path)  # a folder of that name is not what is meant
    assert make_plan("simplecil", "avalanche/split-mnist").stream == "avalanche/split-mnist"
