"""Arrays of .npz files that are mapped: the same as NumPy reads, and no damage goes unseen."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from cl.data.npz import mapped, shape_of, size_of

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 4, 4, 3), np.uint8)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_mapped_array_is_the_array(cache: Path, tmp_path: Path, save: object) -> None:
    save(tmp_path / "a.npz", labels=np.arange(50), images=IMAGES)  # type: ignore[operator]
    found = mapped(tmp_path / "a.npz", "images")
    assert isinstance(found, np.memmap) and not found.flags.writeable
    np.testing.assert_array_equal(found, IMAGES)
    with zipfile.ZipFile(tmp_path / "a.npz") as pack:
        assert shape_of(pack, "images") == IMAGES.shape
        assert size_of(pack, "images") == IMAGES.nbytes + 128 and size_of(pack, "other") == 0


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_is_seen(cache: Path, tmp_path: Path, save: object) -> None:
    save(tmp_path / "a.npz", images=IMAGES)  # type: ignore[operator]
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[1000] ^= 1
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(Exception, match=r"CRC|decompress|damaged"):
        mapped(tmp_path / "a.npz", "images")


@pytest.mark.parametrize("images", [IMAGES.astype(np.uint16), np.asfortranarray(IMAGES)])
def test_another_form_is_refused(tmp_path: Path, images: np.ndarray) -> None:
    np.savez(tmp_path / "a.npz", images=images)
    with zipfile.ZipFile(tmp_path / "a.npz") as pack, pytest.raises(ValueError, match="not uint8 in C order"):
        shape_of(pack, "images")
