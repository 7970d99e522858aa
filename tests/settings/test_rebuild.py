"""Streams rebuilt from other chunks: positions, groups and rows."""

from __future__ import annotations

from itertools import pairwise

from tests.help.toy_streams import setting, toy


def test_positions_number_classes_as_they_now_appear() -> None:
    stream = setting(toy(), "online", "i-blurry")
    for before, view in pairwise(stream.view(index) for index in range(len(stream.experiences))):
        assert view.seen == tuple(range(len(view.seen))) and len(view.seen) >= len(before.seen)
    labels = stream.dataset.train.labels[stream.experiences[0].train]
    assert set(stream.class_order[: len(stream.experiences[0].classes)]) == set(labels.tolist())
