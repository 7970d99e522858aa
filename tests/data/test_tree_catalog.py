"""Declared trees of images."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from cl.data import catalog
from cl.errors import UsageError


def test_data_commands_know_the_trees(image_trees: Path, caplog: pytest.LogCaptureFixture) -> None:
    from cl.housekeeping.datasets import places, verify

    declared = catalog.declaration("imagenet-r")
    assert declared.n_classes == 200 and declared.is_tree and "never run by us" in declared.checked
    assert [place.folder for place in places(declared) if place.is_whole] == [image_trees]
    with caplog.at_level(logging.WARNING):
        assert [check.state for check in verify(declared)] == ["unknown"]
    with pytest.raises(UsageError, match="which its stream splits"):
        catalog.load("imagenet-r")
