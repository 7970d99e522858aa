"""The names that `cl.progress` offers."""

from __future__ import annotations

import pytest

import cl.progress


def test_the_name_of_version_0_1_0_warns() -> None:
    with pytest.warns(FutureWarning, match=r"NullProgress is now cl\.progress\.Observer"):
        assert cl.progress.NullProgress is cl.progress.Observer
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = cl.progress.Nothing
