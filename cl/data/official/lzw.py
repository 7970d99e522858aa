"""Files of Unix's `compress` (.Z), which neither Python nor a library that clbench needs unpacks."""

from __future__ import annotations

import numpy as np

MAGIC = b"\x1f\x9d"
"""How a .Z file begins; the third byte has the widest code and whether the table may be emptied."""
_CLEAR = 256
"""The code that empties the table, in files that may do so."""
_CHUNK = 1 << 16
"""Codes decoded at once, a multiple of eight."""


def uncompressed(data: bytes, most: int) -> bytes:
    """The content of a .Z file. Raises `ValueError` for a damaged one, and for one with more than `most` bytes.

    A code stands for bytes: a byte, or those of an earlier code and one more. Codes grow from 9 bits to at most 16.
    They are stored in groups of eight; a group is cut off, and its bytes filled up, where codes grow or the table is
    emptied. The format has no end mark, so that a truncated file is not noticed here.
    """
    if data[:2] != MAGIC or len(data) < 3 or not 9 <= data[2] & 31 <= 16:
        raise ValueError("it is no .Z file")
    widest, clears = data[2] & 31, bool(data[2] & 128)
    start = [bytes((value,)) for value in range(256)] + ([b""] if clears else [])
    table, width, previous = list(start), 9, b""
    found, at = bytearray(), 3
    while True:
        full = 1 << width
        # every code but the first adds one to the table, and codes grow once it has as many as they can tell apart
        left = full - len(table) + (not previous) if width < widest else _CHUNK
        codes = _codes(data, at, width, min(left, _CHUNK))
        if not codes:
            return bytes(found)
        used, now = len(codes), width
        for place, code in enumerate(codes):
            if clears and code == _CLEAR:
                table, width, previous, used = list(start), 9, b"", place + 1
                break
            if code < len(table) and (previous or code < 256):
                piece = table[code]
            elif previous and code == len(table):
                piece = previous + previous[:1]
            else:
                raise ValueError("it has a code that stands for nothing")
            if previous and len(table) < 1 << widest:
                table.append(previous + piece[:1])
            found += piece
            previous = piece
        if len(found) > most:
            raise ValueError(f"it unpacks to more than {most:,} bytes")
        if width < widest and len(table) == 1 << width:
            width += 1
        at += -(-used // 8) * now  # a group of eight codes has as many bytes as a code has bits


def _codes(data: bytes, at: int, width: int, most: int) -> list[int]:
    """Up to `most` whole codes of `width` bits from byte `at` on, the lowest bit first."""
    part = np.frombuffer(data[at : at + -(-most // 8) * width], np.uint8)
    count = min(most, 8 * len(part) // width)
    bits = np.unpackbits(part, bitorder="little")[: count * width].reshape(count, width)
    return (bits.astype(np.int64) << np.arange(width)).sum(1).tolist() if count else []
