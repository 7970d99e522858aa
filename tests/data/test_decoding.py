"""Decoding into files: in canonical order, with bounded memory, and continued where a kill or damage ended it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cl.data import decoding
from cl.data.decoding import JOURNAL, PIXELS, SPILL, Decode, write
from cl.data.store import ImageStore

SIDE, COUNTS = 8, (5, 40, 0, 3, 17)
"""Images per label; the second label does not fit into memory with the limits of these tests."""


class Killed(BaseException):
    pass


class Source:
    """Random images, some of them equal; counts the calls and kills at one of them."""

    def __init__(self, kill_at: int | None = None) -> None:
        rng = np.random.default_rng(0)
        self.labels = rng.permutation(np.repeat(np.arange(len(COUNTS)), COUNTS))
        self.pixels = rng.integers(0, 256, (len(self.labels), SIDE, SIDE, 3), dtype=np.uint8)
        same = np.flatnonzero(self.labels == 1)[:2]
        self.pixels[same[1]] = self.pixels[same[0]]
        self.calls, self.kill_at = 0, kill_at

    def decode(self, index: int) -> np.ndarray:
        self.calls += 1
        if self.calls == self.kill_at:
            raise Killed
        found: np.ndarray = self.pixels[index]
        return found


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits that these few images exceed: 10 images in memory, labels of 20 images written together."""
    monkeypatch.setattr(decoding, "PIECE", 10 * SIDE * SIDE * 3)
    monkeypatch.setattr(decoding, "TOGETHER", 20 * SIDE * SIDE * 3)
    monkeypatch.setattr(decoding, "_SLICE", 4)


def written(folder: Path, source: Source) -> None:
    """Decode and compare with the store of the same images."""
    folder.mkdir(exist_ok=True)
    found = write(folder, "images", source.labels, source.decode, None)
    store = ImageStore.from_arrays(source.pixels, source.labels)
    pixels = np.load(folder / PIXELS)
    np.testing.assert_array_equal(pixels, store.pixels)
    np.testing.assert_array_equal(source.pixels[found.order], pixels)
    np.testing.assert_array_equal(found.hashes, store.hashes)
    assert found.fingerprint == store.fingerprint and found.shape == pixels.shape
    assert [path.name for path in folder.iterdir()] == [PIXELS]


def killed(folder: Path, at: int) -> None:
    folder.mkdir(exist_ok=True)
    source = Source(at)
    with pytest.raises(Killed):
        write(folder, "images", source.labels, source.decode, None)


def test_files_hold_the_images_in_canonical_order(tmp_path: Path) -> None:
    source = Source()
    written(tmp_path / "cache", source)
    assert source.calls == len(source.labels) + 1, "one more for the shape"


@pytest.mark.parametrize("at", [2, 7, 20, 30, 47, 50, 65])
def test_a_killed_decoding_goes_on_where_it_stopped(tmp_path: Path, at: int) -> None:
    killed(tmp_path / "cache", at)
    source = Source()
    written(tmp_path / "cache", source)
    redone = source.calls - (len(source.labels) - at)
    assert redone <= 20 + 4 + 2, "at most one group of labels or one piece is decoded again"


def test_several_kills_in_a_row(tmp_path: Path) -> None:
    killed(tmp_path / "cache", 30)
    for _ in range(3):
        killed(tmp_path / "cache", 12)
    written(tmp_path / "cache", Source())


def test_a_kill_while_a_large_label_is_put_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(decoding._State, "clear_spill", lambda self: None if not self.pieces else never())
        with pytest.raises(Killed):
            written(tmp_path / "cache", Source())
    written(tmp_path / "cache", Source())


@pytest.mark.parametrize("name", [PIXELS, SPILL, f"{SPILL}.hashes", JOURNAL, "order", "hashes"])
def test_damage_is_decoded_again(tmp_path: Path, name: str) -> None:
    killed(tmp_path / "cache", 36)  # within the large label: five images before it are complete, and two pieces
    path = tmp_path / "cache" / name
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(content)
    written(tmp_path / "cache", Source())


def test_another_decoding_in_the_folder_is_not_continued(tmp_path: Path) -> None:
    killed(tmp_path / "cache", 40)
    other = Source()
    other.labels = other.labels[::-1].copy()
    written(tmp_path / "cache", other)


def test_an_interrupted_run_keeps_its_pixels(tmp_path: Path) -> None:
    decode: Decode = Source(40).decode
    (tmp_path / "cache").mkdir()
    with pytest.raises(Killed):
        write(tmp_path / "cache", "images", Source().labels, decode, None)
    assert (tmp_path / "cache" / PIXELS).stat().st_size > 128
