"""Fonts of figures: the same everywhere for what DejaVu Sans has; one sentence about letters that no font has."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl.cli import call
from cl.results.plots import THEMES, fonts
from tests.help.figures import only
from tests.help.pairs import answers

Make = Callable[..., dict[str, Any]]


def letters(monkeypatch: pytest.MonkeyPatch, found: dict[str, str]) -> None:
    """The machine has these families with these letters."""
    monkeypatch.setattr(fonts, "_letters", lambda family: frozenset(found.get(family, "")))


def test_other_families_are_used_only_for_letters_that_the_first_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert fonts.families("birds, \u00c4\u00df\u03b1\u2192 \u0440") == ["DejaVu Sans"] and not fonts.missing("birds\n")
    letters(monkeypatch, {"DejaVu Sans": "abc", "Noto Sans CJK JP": "\u9dfa", "Arial Unicode MS": "\u9dfa\u0e01"})
    assert fonts.families("a\u9dfa") == ["DejaVu Sans", "Noto Sans CJK JP"]
    assert fonts.families("a\u9dfa\u0e01") == ["DejaVu Sans", "Noto Sans CJK JP", "Arial Unicode MS"]
    assert fonts.missing("a\u9dfaxyx") == "xy"


@pytest.mark.filterwarnings("error")
def test_letters_without_a_glyph_are_said_once(
    make_run: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make_run(answers(0), strategy="slca")
    letters(monkeypatch, {"DejaVu Sans": "".join(map(chr, range(32, 0x2200)))})
    plot = ["plot", str(tmp_path / "runs"), "--kind", "curves,matrix", "--title", "\u9dfa", "--out", str(tmp_path)]
    assert call([*plot, "--format", "png,pdf"]) == 0
    said = capsys.readouterr().err
    assert said.startswith("No font of this machine has 1 letter of these texts, such as \u9dfa; boxes stand for them.")
    assert said.count("\n") == 1, "no warning of matplotlib's"
    assert call([*plot, "--format", "svg"]) == 0 and not capsys.readouterr().err, "the viewer of an SVG has the fonts"


def test_ordinary_texts_give_the_same_file_whatever_is_installed(
    make_record: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plot = only([make_record()], "curves")
    before = plot.save(tmp_path / "a.svg", THEMES["light"]).read_bytes()
    letters(monkeypatch, {"DejaVu Sans": "".join(map(chr, range(32, 0x2200))), "Noto Sans": "abc"})
    assert plot.save(tmp_path / "b.svg", THEMES["light"]).read_bytes() == before
