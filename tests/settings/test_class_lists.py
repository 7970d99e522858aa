"""Files of the user with the order of the classes, or with the classes of each task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cl.errors import UsageError
from cl.settings.class_lists import classes_return, labels_by_task, labels_in_order, names_by_task

NAMES = ("ant", "bee", "café")


def written(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "classes"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def test_the_labels_are_in_the_order_of_the_lines(tmp_path: Path) -> None:
    assert labels_in_order(written(tmp_path, "\ufeffcafe\u0301\n\n  ant \r\nbee"), NAMES, "pets") == [2, 0, 1]


def test_one_sentence_lists_unknown_missing_and_repeated_names(tmp_path: Path) -> None:
    path = written(tmp_path, "ant\ncat\nant\ndog\n")
    with pytest.raises(UsageError) as caught:
        labels_in_order(path, NAMES, "pets")
    assert str(caught.value) == (
        f"{path} does not name each of the 3 classes of pets once: unknown: cat, dog; missing: bee, café; "
        "named twice: ant; write one name per line."
    )
    many = written(tmp_path, "\n".join(f"c{number}" for number in range(30)))
    with pytest.raises(UsageError, match="c8, c9 and 20 more; missing"):
        labels_in_order(many, NAMES, "pets")


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"There is no file .*none; set stream.classes_file to the path of one"):
        labels_in_order(str(tmp_path / "none"), NAMES, "pets")
    (tmp_path / "latin").write_bytes("café".encode("latin-1"))
    with pytest.raises(UsageError, match="write it as a text file in UTF-8"):
        labels_in_order(str(tmp_path / "latin"), NAMES, "pets")

    def closed(*_: Any, **__: Any) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_text", closed)
    with pytest.raises(UsageError, match=r"Cannot read .*latin \(Permission denied\); check its permissions"):
        labels_in_order(str(tmp_path / "latin"), NAMES, "pets")


def test_classes_of_each_task(tmp_path: Path) -> None:
    path = written(tmp_path, [["bee", "ant"], ["café", "bee"]])
    assert labels_by_task(path, NAMES, "pets") == [[1, 0], [2, 1]] and classes_return(path)
    assert not classes_return(written(tmp_path, [["bee", "ant"], ["café"]]))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", r"is not JSON \(.*\); write \[\["),
        ({"a": ["ant"]}, "must hold a list with one list of class names for each task"),
        ([], "must hold a list"),
        ([["ant"], []], "must hold a list"),
        ([["ant", 3]], "must hold a list"),
        ([["ant"], ["bee", "ant", "bee"]], "Task 1 of .* names bee twice; name each class of a task once"),
    ],
)
def test_other_forms_are_refused(tmp_path: Path, content: Any, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        names_by_task(written(tmp_path, content))


def test_every_class_is_in_a_task(tmp_path: Path) -> None:
    path = written(tmp_path, [["ant", "cat"], ["ant"]])
    with pytest.raises(UsageError, match="the 3 classes of pets among tasks: unknown: cat; missing: bee, café; name"):
        labels_by_task(path, NAMES, "pets")
