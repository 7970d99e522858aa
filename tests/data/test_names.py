"""Names of classes: words, numbers and identifiers."""

from __future__ import annotations

from cl.data.names import without_words


def test_numbers_identifiers_and_blanks_are_no_words() -> None:
    nameless = ["", "  ", "7", "c17", "class 3", "class3", "Label_04", "n01443537", "0.5", "-", "12_3"]
    assert without_words(nameless) == nameless


def test_words_are_names() -> None:
    named = ["seven", "aquarium_fish", "A", "001.Black_footed_Albatross", "ox", "n01443537 goldfish", "t-shirt", "犬"]
    assert without_words(named) == []
