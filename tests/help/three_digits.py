"""The example of the page "Declare a stream", with packs of the digits under the names that it reads."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "declare-a-stream.md"


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of the page, and packs of the digits under the names that it reads."""
    from cl.streams.digits import digits

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path / "data"))
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CLBENCH_RESULTS", str(tmp_path / "results"))
    found = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    path = tmp_path / "three-digits.toml"
    path.write_text(found[0], encoding="utf-8")
    (tmp_path / "data").mkdir()
    whole = digits().train
    for place, name in enumerate(("usps_numerals", "mnist", "kannada_mnist")):
        rows = np.concatenate([np.flatnonzero(whole.labels == label)[place::3][:8] for label in range(10)])
        split = (np.arange(len(rows)) % 8 >= 6).astype(np.uint8)
        classes = np.array([str(label) for label in range(10)])
        images, labels = whole.pixels[rows, :, :, 0], whole.labels[rows].astype(np.int16)
        np.savez(tmp_path / "data" / f"{name}.npz", images=images, labels=labels, split=split, classes=classes)
    return path
