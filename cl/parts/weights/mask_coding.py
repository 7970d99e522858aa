"""Joint Huffman coding of the masks of several tasks, and the capacity used by masks and weights."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]

BITS = 7
"""Number of tasks whose masks form a symbol, as in the paper."""

PAPER_RATE = 0.78
"""The paper's compression rate of masks (alpha), for seven tasks per symbol."""


class Coded(NamedTuple):
    """Symbols as a stream of bits under a canonical Huffman code."""

    stream: Array
    """The bits, uint8, eight to a byte."""
    lengths: Array
    """Code length of each symbol, uint8; 0 if the symbol does not occur. The lengths define the code."""
    total: int
    """Number of symbols."""


def symbols(masks: Sequence[Array]) -> Array:
    """One integer per weight from up to 16 bool masks of a layer; the first mask is the least significant bit."""
    total = np.zeros(masks[0].size, np.uint16)
    for place, mask in enumerate(masks):
        total |= mask.reshape(-1).astype(np.uint16) << np.uint16(place)
    return total


def masks_in(found: Array, count: int) -> list[Array]:
    """Inverse of `symbols`: the `count` masks, flat."""
    return [(found >> np.uint16(place) & np.uint16(1)).astype(bool) for place in range(count)]


def encode(found: Array, bits: int = BITS) -> Coded:
    """Huffman-code symbols below 2^bits, with at least one bit each."""
    lengths = _lengths(np.bincount(found, minlength=1 << bits))
    codes, of_symbol = _codes(lengths), lengths[found].astype(np.int64)
    ends = np.cumsum(of_symbol)
    within = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - of_symbol, of_symbol)
    shifts = np.repeat(of_symbol, of_symbol) - 1 - within
    stream = np.repeat(codes[found], of_symbol) >> shifts.astype(np.uint64) & np.uint64(1)
    return Coded(np.packbits(stream.astype(np.uint8)), lengths, len(found))


def decode(coded: Coded) -> Array:
    """The symbols, exactly."""
    bits = np.unpackbits(coded.stream)
    order = np.lexsort((np.arange(len(coded.lengths)), coded.lengths))
    order = order[coded.lengths[order] > 0]
    codes = _codes(coded.lengths)
    # `window`: the bits from each position on, read as a code of each length; codes of one length are consecutive.
    size, symbol = np.zeros(len(bits), np.uint8), np.zeros(len(bits), np.uint16)
    window = np.zeros(len(bits), np.uint64)
    for length in range(1, int(coded.lengths.max(initial=0)) + 1):
        here = np.zeros(len(bits), np.uint64)
        here[: max(len(bits) - length + 1, 0)] = bits[length - 1 :]
        window = window << np.uint64(1) | here
        alike = order[coded.lengths[order] == length]
        if not len(alike):
            continue
        first = codes[alike[0]]
        fits = (size == 0) & (window >= first) & (window < first + np.uint64(len(alike)))
        size[fits], symbol[fits] = length, alike[(window[fits] - first).astype(np.int64)]
    jumps, place, starts = size.tolist(), 0, []
    for _ in range(coded.total):
        starts.append(place)
        place += jumps[place]
    return symbol[np.asarray(starts, np.int64)]


def coded_bits(found: Array, bits: int = BITS) -> int:
    """Bits of the stream that `encode` would write, without the code itself (a byte per possible symbol)."""
    counts = np.bincount(found, minlength=1 << bits)
    return int((counts * _lengths(counts)).sum())


def compression_rate(layers: Sequence[Sequence[Array]], bits: int = BITS) -> float:
    """alpha = 1 - coded bits / bits of the masks, given per layer and task; coded in blocks of `bits` tasks."""
    coded = raw = 0
    for masks in layers:
        for start in range(0, len(masks), bits):
            block = masks[start : start + bits]
            coded += coded_bits(symbols(block), bits)
            raw += sum(mask.size for mask in block)
    return 1 - coded / raw if raw else 0.0


def capacity(density: float, tasks: int, rate: float) -> float:
    """CAP = density + (1 - rate) tasks / 32: used weights plus coded masks, as a share of all 32-bit weights."""
    return density + (1 - rate) * tasks / 32


def _lengths(counts: Array) -> Array:
    """Huffman code lengths, uint8, for these symbol counts."""
    # On a tie the group formed first wins, so the code depends only on the counts.
    heap = [(int(count), number, [number]) for number, count in enumerate(counts) if count]
    lengths = np.zeros(len(counts), np.uint8)
    if len(heap) == 1:
        lengths[heap[0][2]] = 1
    heapq.heapify(heap)
    made = len(counts)
    while len(heap) > 1:
        (one, _, left), (two, _, right) = heapq.heappop(heap), heapq.heappop(heap)
        lengths[left + right] += 1
        heapq.heappush(heap, (one + two, made, left + right))
        made += 1
    return lengths


def _codes(lengths: Array) -> Array:
    """Canonical codes, uint64: by length, then by symbol, counting up."""
    codes, code, last = np.zeros(len(lengths), np.uint64), 0, 0
    for symbol in np.lexsort((np.arange(len(lengths)), lengths)):
        length = int(lengths[symbol])
        if length:
            code <<= length - last
            codes[symbol], code, last = code, code + 1, length
    return codes
