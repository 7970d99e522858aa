"""Labels as in a paper."""

from __future__ import annotations

from cl.results.plots.labels import with_paper_labels


def test_labels_are_replaced_wherever_rows_are_named() -> None:
    rows = [{"label": "der-pp memory=10 lr=1", "mean": [1]}, {"label": "der-pp memory=20 lr=1"}, {"label": "slca lr=1"}]
    data = {"title": "slca lr=1", "rows": rows, "front": ["slca lr=1"], "without": ["joint"]}
    found = with_paper_labels(data)
    assert [row["label"] for row in found["rows"]] == ["DER++ memory=10", "DER++ memory=20", "SLCA"]
    assert found["front"] == ["SLCA"] and found["without"] == ["Joint training"]
    assert found["title"] == "slca lr=1" and found["rows"][0]["mean"] == [1]
