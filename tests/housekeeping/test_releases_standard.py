"""The datasets of standard streams by name."""

from __future__ import annotations

import pytest

from cl.housekeeping.releases import declared, only


@pytest.mark.parametrize(
    ("name", "dataset"),
    [("imagenet-r", "imagenet-r"), ("permuted-mnist", "mnist"), ("mnist", "mnist"), ("split-omniglot", "omniglot")],
)
def test_the_only_dataset_of_a_stream(name: str, dataset: str) -> None:
    found = only(name)
    assert found is not None and found.name == dataset and declared(name) is None


@pytest.mark.parametrize("name", ["split-digits", "core50", "no such stream"])
def test_other_streams_have_none(name: str) -> None:
    assert only(name) is None
