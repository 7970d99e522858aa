"""Files of the Tampere Image Databases in little."""

from __future__ import annotations

from collections import Counter

from tools.miniatures.pen import Pen
from tools.miniatures.tid import CLASSES, database


def test_the_metric_is_there_for_all_images_and_some_have_one_of_five_qualities() -> None:
    pen = Pen()
    content = database(pen, 17, 4, "MSSIM.TXT")
    assert len(content["metrics_values/MSSIM.TXT"].splitlines()) == 25 * 17 * 4
    images = [name for name in content if name.startswith("distorted_images/")]
    found = Counter(each.labels[0] for each in pen.truth.values() if each.split)
    assert set(found) == set(CLASSES)
    assert found.total() == len(images)
