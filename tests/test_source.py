"""Source files of modules, found and read without importing anything."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from cl.source import docstring_in, raised_at, source_path


def test_the_source_file_of_a_module() -> None:
    assert source_path("cl.strategies.slca") is not None
    assert source_path("cl.no_such_module") is None
    assert source_path("no_such_package.module") is None


def test_modules_and_docstrings_are_found_without_imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "found_pkg"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')\n")
    text = 'class A:\n    """Outer."""\n    class B:\n        """Inner."""\ndef f():\n    """Of f."""\nX = 1\n'
    (package / "module.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    path = source_path("found_pkg.module")
    assert path == package / "module.py" and source_path("found_pkg") == package / "__init__.py"
    assert not any(name.startswith("found_pkg") for name in sys.modules)
    assert [docstring_in(path, name) for name in ("A", "A.B", "f", "X", "A.C", "g")] == [
        "Outer.", "Inner.", "Of f.", "", "", "",
    ]  # fmt: skip


def test_a_module_without_python_source_has_no_path() -> None:
    assert source_path("math") is None and source_path("sys") is None


def test_the_place_of_an_error_is_the_last_one_in_the_authors_file(tmp_path: Path) -> None:
    package = tmp_path / "theirs"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "method.py").write_text("import json\nfrom theirs.inner import inner\ndef run(text):\n    inner(text)\n")
    (package / "inner.py").write_text("import json\ndef inner(text):\n    json.loads(text)\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        from theirs.method import run  # type: ignore[import-not-found]

        with pytest.raises(ValueError) as caught:
            run("{")
    in_file = raised_at(caught.value, package / "method.py")
    assert in_file.startswith(f"{package / 'method.py'}:4 (which called ") and "decoder.py:" in in_file
    in_package = raised_at(caught.value, package / "other.py")
    assert in_package.startswith(f"{package / 'inner.py'}:3 (which called "), "of its package, if the file has no part"
    assert raised_at(caught.value, None).partition(":")[0].endswith("decoder.py")
    assert raised_at(ValueError(), None) == "an unknown place"
