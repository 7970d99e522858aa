"""Split Omniglot: its tasks for the archives and for the pack."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cl.data import catalog
from cl.data.known import Part
from cl.errors import MissingData, UsageError
from cl.streams.omniglot import SplitOmniglot
from cl.testing import check_stream
from tests.help.idx import write_pack

NAMES = tuple(f"A/character{number:03}" for number in range(242))


@pytest.mark.usefixtures("isolated")
def test_a_pack_has_a_first_task_of_120_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = catalog.DATASETS["omniglot"]
    monkeypatch.setitem(catalog.DATASETS, "omniglot", replace(real, part=Part((484, 242), {}, 242)))
    write_pack(tmp_path / "omniglot10.npz", NAMES, train=2, test=1, side=32)
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    family = SplitOmniglot()
    stream = family.build(family.Options(), order_seed=1, data_seed=1)
    check_stream(stream)
    assert stream.info.classes_per_task == (120, *(10,) * 12, 2)
    assert "484 of 24,345 training and 242 of 8,115 test images of 242 of its 1,623 classes" in stream.dataset.notes[0]
    even = family.build(family.Options(tasks=2), order_seed=1, data_seed=1)
    assert even.info.classes_per_task == (121, 121)
    with pytest.raises(UsageError, match=r"base=243 must be in 0\.\.242"):
        family.build(family.Options(base=243), order_seed=1, data_seed=1)


@pytest.mark.usefixtures("isolated")
def test_without_data_the_archives_are_asked_for() -> None:
    family = SplitOmniglot()
    assert family.prepared(family.Options(), "").base == 963
    with pytest.raises(MissingData, match=r"images_background.zip \+ images_evaluation.zip"):
        family.build(family.Options(), order_seed=1, data_seed=1)
