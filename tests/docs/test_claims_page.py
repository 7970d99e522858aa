"""docs/claims.md is what its generator makes of the declaration and the records; a verdict is never typed."""

from __future__ import annotations

import claims


def test_the_page_is_current() -> None:
    page = claims.PAGE.read_text(encoding="utf-8")
    assert claims.with_table(page, claims.generated(), claims.MARKS) == page, "run `python docs/claims.py`"
