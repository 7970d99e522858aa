"""IDX files of miniatures, read by the reader of the product."""

from __future__ import annotations

import numpy as np

from cl.data.idx import parse_idx
from tools.miniatures.idx import digits
from tools.miniatures.pen import Pen, number_of


def test_pictures_and_labels_are_read_back() -> None:
    pen = Pen()
    images, labels = digits(pen, "train", ("a", "b", "c"), 2)
    pixels = parse_idx(images, 3, "images")
    assert pixels.shape == (6, 28, 28)
    found = [
        (number_of(each), "abc"[label]) for each, label in zip(pixels, parse_idx(labels, 1, "labels"), strict=True)
    ]
    assert found == [(number, each.labels[0]) for number, each in pen.truth.items()]
    assert np.unique(parse_idx(labels, 1, "labels")).tolist() == [0, 1, 2]
