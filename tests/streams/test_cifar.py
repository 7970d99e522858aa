"""Split CIFAR without its data: what the error says, and what is checked before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cl.errors import DataError, UsageError
from cl.settings.class_incremental import IncrementalOptions
from cl.streams.cifar import SplitCIFAR100

SEEDS: dict[str, Any] = {"order_seed": 1993, "data_seed": 1993}


def test_missing_offline_says_what_where_and_how(cache: Path) -> None:
    with pytest.raises(DataError) as caught:
        SplitCIFAR100().build(SplitCIFAR100.Options(), **SEEDS)
    text = str(caught.value)
    for part in ("cifar-100-python.tar.gz", "cifar100_train.npz", str(cache), "CLBENCH_DATA_PATH", "CLBENCH_OFFLINE"):
        assert part in text
    assert "\n" not in text and caught.value.exit_code == 3


def test_options_are_checked_before_data_is_looked_for(cache: Path) -> None:
    with pytest.raises(UsageError, match="tasks=101 does not fit 100 classes"):
        SplitCIFAR100().build(IncrementalOptions(tasks=101), **SEEDS)
