"""Plans refuse strategies that cannot learn domains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cl.errors import UsageError
from cl.plan.plan import make_plan


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))


@pytest.mark.parametrize(
    ("strategy", "settings"),
    [
        ("mos", {}),
        ("wsn", {}),
        ("pred-kd", {}),
        ("ewc", {"accumulate": "convex"}),
        ("momentum", {"base": "ewc", "base.accumulate": "convex"}),
    ],
)
def test_who_cannot_learn_domains_is_refused_by_the_plan(strategy: str, settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"pacs is domain-incremental, which .* cannot learn") as caught:
        make_plan(strategy, "pacs", options=settings)
    assert caught.value.exit_code == 2 and "class-incremental" in str(caught.value)
