"""PACS: what its miniature alone cannot show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cl.data.releases.pacs import RELEASE
from tests.help.releases import located, written


def test_arrays_have_blue_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    written("pacs", tmp_path)
    for examples in RELEASE.read(located(RELEASE).open()).splits.values():
        red, green, blue = np.moveaxis(examples.decode(0).astype(int), 2, 0)
        assert ((red - green) == 20).all(), "the miniature's pictures are redder than grey"
        assert (green == blue).all()
