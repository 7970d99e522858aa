"""Errors: one sentence, an exit code for each kind, and names that are nearly right."""

from __future__ import annotations

import pytest

from cl import errors
from cl.errors import ClbenchError, DataError, did_you_mean, sentence


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
