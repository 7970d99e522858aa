"""Files of Unix's compress. The texts in hexadecimal digits were written by ncompress (1.0.2 of its Python package)."""

from __future__ import annotations

import random

import pytest

from cl.data.official.lzw import uncompressed
from tools.miniatures.packing import compress_bytes

SHORT = "1f9d9074de8829f3468e9b3774020e2ca890a041840d0b1e4c28d061c487141762bc787122"
RUN = (
    "1f9d9061020a1c48b0a0c18308132a5cc8b0a1c38710234a9c48b1a2c58b18336adcc8b1a3c78f20438a1c49b2a4c9932853aa5cc9b2a5"
    "cb973063ca9c49b3a6cd9b3873eadcc9b3a74b"
)


@pytest.mark.parametrize(("packed", "text"), [(SHORT, b"tobeornottobeortobeornot" * 3), (RUN, b"a" * 2000)])
def test_files_of_another_program_are_read(packed: str, text: bytes) -> None:
    assert uncompressed(bytes.fromhex(packed), 1 << 20) == text


@pytest.mark.parametrize("letters", [2, 90, 256])
@pytest.mark.parametrize("clear_every", [0, 1, 255, 256, 300])
def test_codes_grow_and_tables_are_emptied(letters: int, clear_every: int) -> None:
    drawn = random.Random(letters)
    text = bytes(drawn.randrange(letters) for _ in range(6000))
    assert uncompressed(compress_bytes(text, clear_every), 1 << 20) == text


def test_a_full_table_is_kept() -> None:
    drawn = random.Random(0)
    text = bytes(drawn.randrange(200) for _ in range(150_000))
    assert uncompressed(compress_bytes(text), 1 << 20) == text


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no .Z file"),
        (b"\x1f\x8b\x90", "no .Z file"),
        (b"\x1f\x9d\x88", "no .Z file"),
        (b"\x1f\x9d\x90\xff\xff", "stands for nothing"),
        (b"\x1f\x9d\x90\x61\xfe\xff", "stands for nothing"),
    ],
)
def test_damage_is_told(data: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        uncompressed(data, 1 << 20)


def test_the_size_is_limited() -> None:
    with pytest.raises(ValueError, match="more than 99"):
        uncompressed(compress_bytes(b"a" * 100), 99)
