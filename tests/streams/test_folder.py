"""The stream `folder:PATH`: its own split of a folder of images, its options and its path."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.errors import UsageError
from cl.streams.folder import Folder
from tests.help.image_folders import folder, tree

SEEDS: dict[str, Any] = {"order_seed": 1993, "data_seed": 1993}


def test_class_folders_are_split_by_ourselves(cache: Path, tmp_path: Path) -> None:
    root = tree(tmp_path / "pets", {"cat": 10, "ant": 5, "dog": 2})
    (root / ".hidden").mkdir()
    (root / "cat" / "notes.txt").write_text("x")
    stream = folder(root)
    assert stream.name == "folder:pets" and stream.info.n_tasks == 1, "no task of one class"
    data = stream.dataset
    assert data.class_names == ("ant", "cat", "dog")
    assert np.bincount(data.test.labels).tolist() == [1, 2, 1]
    assert np.bincount(data.train.labels).tolist() == [4, 8, 1]
    assert data.train.image_shape == (8, 8, 3)
    assert folder(root).id == stream.id
    assert Folder().build(Folder.Options(size=8), order_seed=1993, data_seed=2, argument=str(root)).id == stream.id
    assert len({folder(root, **change).id for change in ({"split_seed": 1}, {"size": 9}, {"test_fraction": 0.5})}) == 3


@pytest.mark.parametrize(("classes", "sizes"), [(2, (2,)), (4, (2, 2)), (7, (3, 2, 2)), (11, (3, 2, 2, 2, 2))])
def test_default_tasks_have_two_classes(cache: Path, tmp_path: Path, classes: int, sizes: tuple[int, ...]) -> None:
    stream = folder(tree(tmp_path / "pets", {f"c{number:02}": 2 for number in range(classes)}))
    assert stream.info.classes_per_task == sizes
    single = folder(tmp_path / "pets", increment=1)
    assert single.info.classes_per_task == (1,) * classes, "single classes only if asked for"


@pytest.mark.parametrize("options", [{"size": 0}, {"test_fraction": 0.0}, {"test_fraction": 1.0}, {"tasks": 3}])
def test_folder_options_are_checked(cache: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        folder(tree(tmp_path / "data", {"a": 2, "b": 2}), **options)
    assert not cache.exists()


def test_a_folder_needs_a_path() -> None:
    with pytest.raises(UsageError, match="folder:/path/to/images"):
        Folder().build(Folder.Options(), **SEEDS)
