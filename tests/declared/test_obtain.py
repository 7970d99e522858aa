"""The datasets of a declared stream: missing ones and wrong files."""

from __future__ import annotations

import pytest

from cl.errors import DataError
from tests.help.declared import Write, build


def test_what_is_not_here_is_named_or_left_out(write: Write, caplog: pytest.LogCaptureFixture) -> None:
    path = write(tables={"grey": "", "gone": "", "large": ""})
    with pytest.raises(DataError, match=r"Stream three needs gone \(gone.npz\), not found in"):
        build(path)
    stream = build(path, missing="skip")
    assert [group.name for group in stream.groups] == ["grey", "large"]
    assert "1 of 3 datasets are not here and left out: gone." in caplog.text
    with pytest.raises(DataError, match="needs gone"):
        build(write(tables={"gone": ""}), missing="skip")


def test_a_file_of_another_hash_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match=r"grey\.npz"):
        build(write(tables={"grey": f'sha256 = ["{"0" * 64}"]\n'}))
