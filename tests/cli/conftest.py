"""Every test has its own results, cache and environment, and never the network."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest


@pytest.fixture(autouse=True)
def isolated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("CLBENCH_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLBENCH_RESULTS", str(tmp_path / "results"))


Plugin = Callable[..., Path]


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plugin:
    """Installs distributions: `plugin("acme", {"module": source}, {"clbench.strategies": {"name": target}})`."""

    def install(distribution: str, modules: dict[str, str], points: dict[str, dict[str, str]]) -> Path:
        root = tmp_path / f"site-{distribution}"
        info = root / f"{distribution}-1.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.5\n")
        lines = []
        for group, names in points.items():
            lines += [f"[{group}]", *(f"{name} = {target}" for name, target in names.items())]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        for name, source in modules.items():
            path = root.joinpath(*name.split(".")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(source))
        monkeypatch.syspath_prepend(str(root))
        return root

    return install
