"""Every test has a cache of its own, and a small pack of images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path / "home"))


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    """Noise around one colour per class: 3 classes, 8 training and 4 test images of 16 px each."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(3, dtype=np.int16), 12)
    colours = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200]])
    images = (colours[labels][:, None, None] + rng.integers(-40, 40, (36, 16, 16, 3))).astype(np.uint8)
    path = tmp_path / "colours.npz"
    split = np.tile(np.arange(12) >= 8, 3).astype(np.uint8)
    np.savez(path, images=images, labels=labels, split=split, classes=["r", "g", "b"], meta=json.dumps({}))
    return path
