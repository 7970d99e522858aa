"""CelebA with lists that are cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl.data import releases
from cl.errors import DataError
from tests.help.releases import located, written


@pytest.mark.parametrize("lines", [0, 1, 2])
def test_a_list_without_images_is_one_sentence(
    lines: int, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLBENCH_DATA_PATH", str(tmp_path))
    written("celeb_a", tmp_path)
    path = tmp_path / "celeb_a" / "list_attr_celeba.txt"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:lines]))
    with pytest.raises(DataError, match=r"^list_attr_celeba of .* lists no image; get the list again\.$"):
        releases.release("celeb_a").read(located(releases.release("celeb_a")).open())
