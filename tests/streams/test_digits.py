"""Split digits: the fixed split, the default tasks and the class order."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from cl.streams.digits import FILE, SplitDigits, digits, raw_digits

SEEDS: dict[str, Any] = {"order_seed": 1993, "data_seed": 1993}


def test_digits_are_the_fixed_split() -> None:
    data = digits()
    assert (len(data.train), len(data.test)) == (1347, 450)
    assert data.train.image_shape == (8, 8, 1) and data.train.pixels.max() == 255
    for label in range(10):
        held_out, kept = (data.test.labels == label).sum(), (data.train.labels == label).sum()
        assert held_out == round((held_out + kept) / 4)
    assert data.fingerprints == {
        "train": "39a1bbd7c3e134a864176c910738c04886d2227cb5572d6866426623c6809a8f",
        "test": "163a71213eb4ea34382d47ce4d7402010391afb38b66b830b5de3662fd506372",
    }


@pytest.mark.parametrize("file", [FILE, "datasets/elsewhere.csv.gz"])
def test_the_images_are_those_that_scikit_learn_loads(file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from sklearn.datasets import load_digits

    monkeypatch.setattr("cl.streams.digits.FILE", file)
    images, labels = raw_digits()
    np.testing.assert_array_equal(images, load_digits().images)
    np.testing.assert_array_equal(labels, load_digits().target)


def test_the_stream_is_read_without_an_import_of_scikit_learn() -> None:
    code = "import sys; from cl.streams.digits import digits; digits(); assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_digits_default_to_five_tasks_of_two() -> None:
    stream = SplitDigits().build(SplitDigits.Options(), **SEEDS)
    assert stream.info.classes_per_task == (2,) * 5
    assert stream.options["increment"] == 2
    assert sum(len(group.rows["test"]) for group in stream.groups) == 450
    assert SplitDigits().build(SplitDigits.Options(tasks=2), **SEEDS).info.classes_per_task == (5, 5)
    natural = SplitDigits().build(SplitDigits.Options(order="natural"), **SEEDS)
    assert natural.info.class_names[:2] == ("zero", "one")


def test_a_stream_order_seed_beats_that_of_the_run() -> None:
    build = SplitDigits().build
    own = build(SplitDigits.Options(order_seed=7), order_seed=1, data_seed=1)
    assert own.class_order.tolist() == np.random.RandomState(7).permutation(10).tolist()
    assert build(SplitDigits.Options(), order_seed=7, data_seed=1).id == own.id
