"""The real CIFAR-100, where CLBENCH_DATA_PATH has it."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from cl.data.catalog import DATASETS
from cl.data.sources import candidates
from cl.streams.cifar import SplitCIFAR100
from tests.conftest import REAL_DATA

pytestmark = pytest.mark.slow


def present() -> bool:
    declared = DATASETS["cifar100"]
    names = [*(source.names for source in declared.sources), (declared.archive.name,)]
    return any(True for name in names for _ in candidates(name, declared.subfolders))


def test_cifar100_is_the_known_content_and_warm_loads_are_quick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLBENCH_HOME", str(tmp_path))
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    monkeypatch.setenv("CLBENCH_DATA_PATH", REAL_DATA)
    if not REAL_DATA or not present():
        pytest.skip("CLBENCH_DATA_PATH names no folder with CIFAR-100")
    build = SplitCIFAR100().build
    stream = build(SplitCIFAR100.Options(), order_seed=1993, data_seed=1993)
    assert stream.dataset.verified
    assert stream.info.classes_per_task == (10,) * 10
    assert stream.class_order[:5].tolist() == [68, 56, 78, 8, 23]
    assert [len(experience.train) for experience in stream.experiences] == [5000] * 10
    assert [len(group.rows["test"]) for group in stream.groups] == [1000] * 10
    mean = np.asarray(stream.dataset.train.pixels).reshape(-1, 3).mean(0) / 255
    np.testing.assert_allclose(mean, [0.5071, 0.4865, 0.4409], atol=1e-4)
    start = time.perf_counter()
    again = build(SplitCIFAR100.Options(), order_seed=1993, data_seed=1993)
    assert again.id == stream.id
    assert time.perf_counter() - start < 5
