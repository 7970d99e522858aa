"""Tables in a given width: words are wrapped, numbers stay whole, and what does not fit becomes lines."""

from __future__ import annotations

import pytest

from cl.results.fitted import fitted, wrapped
from cl.results.tables import aligned

COLUMNS = ["method", "accuracy", "what it does"]
ROWS = [["slca", "61.23", "a slow learner for the backbone and alignment"], ["a-gem", "9.1", ""]]
LEFT = ["method", "what it does"]


@pytest.mark.parametrize("width", [None, 76, 500])
def test_a_table_that_fits_is_as_it_was(width: int | None) -> None:
    whole = aligned(COLUMNS, ROWS, left=LEFT)
    assert fitted(COLUMNS, ROWS, width, left=LEFT) == whole and max(map(len, whole)) <= 76


@pytest.mark.parametrize("width", [38, 45, 60])
def test_cells_of_words_are_wrapped_and_numbers_are_not_cut(width: int) -> None:
    lines = fitted(COLUMNS, ROWS, width, left=LEFT)
    assert {len(line) for line in lines} <= set(range(width + 1)) and len({len(line) for line in lines}) == 1
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0] == COLUMNS and set(lines[1]) == {"|", "-"}
    assert " ".join(filter(None, (cell[2] for cell in cells[2:]))) == ROWS[0][2]
    assert [cell[1] for cell in cells[2:] if cell[1]] == ["61.23", "9.1"]
    assert [cell[0] for cell in cells[2:] if cell[0]] == ["slca", "a-gem"]


def test_a_long_number_takes_its_room_from_the_words() -> None:
    number = "61.23 [59.00, 63.46], 12 seeds"
    for line in fitted(["accuracy", "what"], [[number, "one two three four five six"]], 52, left=["what"])[2:]:
        assert number in line or not line.strip("|").split("|")[0].strip()


def test_heads_of_numbers_are_wrapped_before_rows_become_lines() -> None:
    rows = [["slca", "61.23", "1"]]
    assert fitted(["method", "time of learning", "seeds used"], rows, 36, left=["method"]) == [
        "| method |  time of | seeds used |",
        "|        | learning |            |",
        "|--------|----------|------------|",
        "| slca   |    61.23 |          1 |",
    ]
    assert fitted(["method", "time of learning"], [["slca", "61.23"]], 19, left=["method"])[0] == ("method: slca")


def test_a_table_that_cannot_be_wrapped_becomes_lines() -> None:
    lines = fitted(COLUMNS, ROWS, 30, left=LEFT)
    assert lines == [
        "method: slca", "  accuracy: 61.23", "  what it does: a slow learner", "    for the backbone and",
        "    alignment", "method: a-gem", "  accuracy: 9.1",
    ]  # fmt: skip


def test_a_long_word_is_whole_in_lines_and_folded_in_cells() -> None:
    word = "x" * 50
    assert wrapped(f"key: {word}", 20, 5) == ["key:", f"     {word}"]
    assert wrapped(f"key: {word} y", None, 5) == [f"key: {word} y"]
    assert all(len(line) <= 40 for line in fitted(["a", "b"], [[word, "1"]], 40, left=["a"]))


def test_the_indent_of_later_lines_leaves_room_for_words() -> None:
    assert wrapped("name" + 30 * " " + "what it is called", 20, 34) == ["name", "    what it is", "    called"]


def test_control_characters_are_printed_as_codes() -> None:
    lines = fitted(["a", "b"], [["one two three four \x1b[31m", "1"]], 24, left=["a"])
    assert "\x1b" not in "".join(lines) and "x1b" in "".join(lines)
