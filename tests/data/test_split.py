"""Seeded splits of rows."""

from __future__ import annotations

import numpy as np

from cl.data.split import split_rows


def test_splits_are_disjoint_complete_and_seeded() -> None:
    rows = np.arange(100, 120)
    part, rest = split_rows(rows, 0.25, 1, "val", 0)
    assert len(part) == 5 and sorted([*part, *rest]) == rows.tolist()
    assert part.tolist() == split_rows(rows, 0.25, 1, "val", 0)[0].tolist()
    assert part.tolist() != split_rows(rows, 0.25, 2, "val", 0)[0].tolist()
    assert part.tolist() != split_rows(rows, 0.25, 1, "val", 1)[0].tolist()
