"""Labels of rows as in a paper: the display names of methods, with the options in which rows of a method differ."""

from __future__ import annotations

from typing import Any

from cl.results.leaderboard.short_labels import short_labels


def with_paper_labels(data: dict[str, Any]) -> dict[str, Any]:
    """The numbers of a figure with the short labels of its rows, wherever they stand."""
    labels = [row["label"] for row in data.get("rows", ()) if "label" in row]
    short = short_labels([*labels, *data.get("without", ()), *data.get("against", ())], named=True)

    def renamed(value: Any) -> Any:
        if isinstance(value, list):
            return [renamed(each) for each in value]
        if isinstance(value, dict):
            return {key: renamed(each) if key in _HOLDS_LABELS else each for key, each in value.items()}
        return short.get(value, value) if isinstance(value, str) else value

    found: dict[str, Any] = renamed(data)
    return found


_HOLDS_LABELS = ("rows", "label", "front", "without", "against")
