"""The small stream whose first task has several classes per image."""

from __future__ import annotations

import numpy as np

from cl.stream import Evaluate, Train
from cl.testing.multi_label import with_several_classes
from tests.conftest import tiny_stream


def test_the_first_task_has_images_with_two_classes_and_the_others_are_as_before() -> None:
    plain = tiny_stream(val_fraction=0.25, tasks=3)
    stream = with_several_classes(plain, 2)
    assert stream.setting == "task-incremental" and stream.multi_label == ("task0",) and stream.id != plain.id
    first, second = stream.experiences
    assert first.tags is not None and first.val_tags is not None and second.tags is None
    assert first.tags.shape == (len(first.train), len(first.classes))
    assert set(first.tags.sum(1).tolist()) == {1, 2}
    labels = stream.positions[stream.dataset.train.labels[first.train]]
    assert np.array_equal(first.tags.argmax(1), labels - first.classes[0]), "the label is the first class"
    assert [group.tags is not None for group in stream.groups] == [True, False]
    assert stream.events == (Train(0), Evaluate((0,)), Train(1), Evaluate((0, 1)))
    assert stream.info.n_classes == len(first.classes) + len(second.classes)
