"""What a user is told to get: every file, unless there are very many."""

from __future__ import annotations

from cl.data import releases
from cl.data.official.release import how_to_get


def test_few_files_are_named_and_many_counted() -> None:
    assert "put sat.trn and sat.tst (or what" in how_to_get(releases.release("landsat"))
    assert "put 111 files, D1.gif to D112.gif, (or what" in how_to_get(releases.release("brodatz"))
