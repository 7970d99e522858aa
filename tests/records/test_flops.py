"""How the FLOPs of a record were counted."""

from __future__ import annotations

import json
from pathlib import Path

from cl.records.flops import COUNTED_BY, counted_by


def test_boards_of_the_reference_records_compare_flops() -> None:
    folder = Path(__file__).parents[2] / "results" / "reference"
    records = [json.loads(path.read_text(encoding="utf-8")) for path in folder.rglob("record.json")]
    assert len(records) > 100 and {counted_by(record) for record in records} == {COUNTED_BY}
