"""What is built for a release: links, addresses, files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.release_check import ROOT, absolute, addressed, run, sources


def test_links_to_files_lead_to_the_version_in_the_repository() -> None:
    text = "[a](docs/a.md#x), ![b](docs/b.svg), [c](https://example.org/c.md), [d](#here)"
    assert absolute(text, "https://example.org/o/clbench", "1.2") == (
        "[a](https://example.org/o/clbench/blob/v1.2/docs/a.md#x), "
        "![b](https://example.org/o/clbench/raw/v1.2/docs/b.svg), [c](https://example.org/c.md), [d](#here)",
        2,
    )


def test_the_copy_has_the_links_and_addresses_and_the_checkout_keeps_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (ROOT / "README.md").read_bytes()
    tree = sources(tmp_path, "https://example.org/o/clbench")
    readme = (tree / "README.md").read_text(encoding="utf-8")
    assert not re.search(r"\]\((?!https?://|#)", readme) and "example.org/o/clbench/raw/v" in readme
    assert 'Issues = "https://example.org/o/clbench/issues"' in (tree / "pyproject.toml").read_text(encoding="utf-8")
    assert (tree / "cl" / "cli").is_dir() and (ROOT / "README.md").read_bytes() == before
    with pytest.raises(SystemExit, match="leave out REPOSITORY"):
        addressed('[project.urls]\nRepository = "x"\n[project.scripts]\n', "https://example.org")
    assert capsys.readouterr().out == ""


def test_a_step_that_fails_ends_it_with_its_code(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        run("false", cwd=tmp_path)
    assert ended.value.code == 1
