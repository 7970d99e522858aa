"""Declarations of datasets: the number of classes, trees, and copies in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from cl.data.catalog import DATASETS
from cl.data.known import Copy


def nothing(*_: Any) -> Any:
    raise AssertionError("never read")


def test_trees_have_no_declared_class_names_but_a_number() -> None:
    assert DATASETS["cifar100"].n_classes == 100 and not DATASETS["cifar100"].is_tree
    assert DATASETS["imagenet-r"].n_classes == 200 and DATASETS["imagenet-r"].is_tree


def test_a_copy_is_named_by_its_files() -> None:
    assert str(Copy((Path("a.npz"), Path("b.npz")), nothing)) == "a.npz + b.npz"
