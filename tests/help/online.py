"""Online and blurry streams of ten digits."""

from __future__ import annotations

from typing import Any

import torch

from cl.settings import SettingOptions, transform
from cl.stream import Stream
from tests.conftest import tiny_stream

ONE_PASS: dict[str, Any] = {"epochs": 1, "batch_size": 16}
"""As a plan has it in online settings."""


def small() -> Stream:
    """60 training and 20 test images of ten digits."""
    return tiny_stream(train_per_class=6, test_per_class=2)


def stream_in(*names: str, **options: Any) -> Stream:
    """The same in other settings."""
    return transform(small(), SettingOptions(setting=names, **options), 1993)


def by_label(stream: Stream, values: torch.Tensor) -> torch.Tensor:
    """Rows by position in the order of the dataset's labels."""
    return values[torch.from_numpy(stream.positions)]
