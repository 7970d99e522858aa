"""Errors: one sentence, an exit code for each kind, and names that are nearly right."""

from __future__ import annotations

import pytest

from cl import errors
from cl.errors import ClbenchError, DataError, UsageError, counted, did_you_mean, printable, sentence


def test_each_kind_of_error_has_its_exit_code() -> None:
    kinds = ("ClbenchError", "UsageError", "DataError", "NonFiniteLoss", "OutsideInterval")
    assert {name: getattr(errors, name).exit_code for name in kinds} == {
        name: code for code, name in enumerate(kinds, start=1)
    }
    assert errors.Incompatible.exit_code == 2, "a mistake in the choice of strategy and stream"
    assert errors.RunInUse.exit_code == errors.ContractError.exit_code == errors.StorageError.exit_code == 1


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (DataError("the file is\n  damaged; delete it."), "the file is damaged; delete it."),
        (ZeroDivisionError("division by zero"), "unexpected ZeroDivisionError: division by zero."),
        (AssertionError(), "unexpected AssertionError."),
    ],
)
def test_an_error_is_one_line_and_says_whether_it_was_expected(error: Exception, text: str) -> None:
    assert sentence(error) == text and isinstance(error, ClbenchError) is not text.startswith("unexpected")


def test_similar_names_are_suggested_as_they_are_written() -> None:
    assert did_you_mean("f_chaudry", ["F_chaudhry", "A_last"]) == " Did you mean F_chaudhry?"
    assert (
        did_you_mean("finetun", ["finetune", "finetune-dynamic", "mos"])
        == " Did you mean finetune or finetune-dynamic?"
    )
    assert did_you_mean("ewc", ["slca", "mos"]) == ""


def test_control_characters_are_written_out() -> None:
    assert printable("plain é 中") == "plain é 中"
    assert printable("\x1b[31mred\x07\r\n\x7f\x9b\u202e") == r"\x1b[31mred\x07\r\n\x7f\x9b\u202e"
    assert sentence(UsageError("no \x1b[2J\nsuch")) == r"no \x1b[2J such"


def test_errors_of_files_name_the_file_and_the_fix() -> None:
    assert sentence(PermissionError(13, "Permission denied", "a\x1b")) == (
        r"cannot use a\x1b: Permission denied; check the path and its permissions."
    )
    assert len(sentence(OSError(36, "File name too long", "x" * 5000))) < 400
    assert sentence(OSError("text")) == "unexpected OSError: text."


def test_a_number_has_its_noun_in_the_plural_unless_it_is_one() -> None:
    assert [counted(number, "image") for number in (0, 1, 2, 1_000)] == [
        "0 images",
        "1 image",
        "2 images",
        "1,000 images",
    ]
    assert [counted(number, "class") for number in (1, 2)] == ["1 class", "2 classes"]
