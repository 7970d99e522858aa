"""The page "Declare a stream": its example runs as it is printed there."""

from __future__ import annotations

from pathlib import Path

import cl


def test_the_example_runs(example: Path) -> None:
    result = cl.run("simplecil", example.name, limit=4).record["result"]
    assert [group["name"] for group in result["stream"]["groups"]] == ["usps", "mnist", "kannada"]
    assert result["count"] == [20, 20, 20] and result["metrics"]["til_oracle"]["A_last_task"] > 0.2


def test_the_example_as_domains(example: Path) -> None:
    text = example.read_text(encoding="utf-8")
    example.write_text(text.replace("task-incremental", "domain-incremental"), encoding="utf-8")
    result = cl.run("simplecil", example.name).record["result"]
    assert result["stream"]["class_names"] == [str(label) for label in range(10)]
    assert list(result["accuracy"]) == ["dil"] and result["metrics"]["dil"]["A_last_task"] > 0.2
