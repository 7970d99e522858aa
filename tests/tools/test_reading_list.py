"""How much to read to understand a method."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from tools.reading_list import code_lines, definitions, main, reached, source

FILES = {
    "strategies/mine.py": """
        '''A method.'''

        from cl.bases.base import Base
        from cl.errors import UsageError
        from cl.parts.heads import Head

        LIMIT = 3


        class Mine(Base):
            '''It uses one head.'''

            class Options:
                lr: float = 0.1

            def learn(self) -> None:
                # nothing yet
                self.head = Head(LIMIT)
                raise UsageError
    """,
    "cl/bases/base.py": """
        from cl.parts.losses import loss


        class Base:
            def fit(self) -> float:
                return loss()


        def unused() -> int:
            return 1
    """,
    "cl/parts/heads/__init__.py": """
        from cl.parts.heads.linear import Head

        __all__ = ["Head"]
    """,
    "cl/parts/heads/linear.py": """
        class Head:
            pass


        class Other:
            pass
    """,
    "cl/parts/losses.py": """
        def loss() -> float:
            return helper()


        def helper() -> float:
            return 0.0
    """,
    "cl/errors.py": """
        class UsageError(Exception):
            pass
    """,
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    return tmp_path


def names(root: Path) -> dict[str, set[str]]:
    """The definitions to read, by file."""
    found = reached(root, root / "strategies" / "mine.py")
    return {
        file.relative_to(root).as_posix(): {name for name, node in definitions(file).items() if node in nodes}
        for file, nodes in found.items()
    }


def test_only_definitions_that_a_method_uses_are_read(checkout: Path) -> None:
    found = names(checkout)
    assert found["strategies/mine.py"] == {"LIMIT", "Mine"}
    assert found["cl/bases/base.py"] == {"Base"}, "an unused function is not read"
    assert found["cl/parts/losses.py"] == {"loss", "helper"}, "indirect uses too"
    assert found["cl/parts/heads/linear.py"] == {"Head"}, "found through the package that re-exports it"
    assert "cl/errors.py" not in found, "not a package of mathematics"


def test_lines_of_code_leave_out_text_and_options(checkout: Path) -> None:
    path = checkout / "strategies" / "mine.py"
    nodes = set(definitions(path).values())
    assert code_lines(path, nodes) == 5  # LIMIT, the class, the function and its two lines


def test_a_module_is_found_inside_and_next_to_the_package(checkout: Path) -> None:
    assert source(checkout, "cl.strategies.mine") == checkout / "strategies" / "mine.py"
    assert source(checkout, "cl.parts.heads") == checkout / "cl" / "parts" / "heads" / "__init__.py"
    assert source(checkout, "cl.nowhere") is None


def test_a_row_per_method_is_printed(
    checkout: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["reading_list.py", str(checkout)])
    main()
    head, row, mean = capsys.readouterr().out.splitlines()
    assert head.split() == ["strategy", "files", "lines", "own", "modules"]
    name, _, lines, own, modules = row.split()
    assert (name, own, modules) == ("mine", "5", "3") and int(lines) > 5 and mean.startswith("mean")
