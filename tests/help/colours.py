"""Colours as people see them: contrast, colour vision deficiencies, greyscale, and how far two colours differ."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

VISION: dict[str, Floats] = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
"""Matrices on linear RGB at severity 1, of Machado, Oliveira and Fernandes (IEEE TVCG 2009)."""

_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
"""Linear sRGB to CIE XYZ under D65 (IEC 61966-2-1)."""


def linear(colours: ArrayLike) -> Floats:
    """sRGB in [0, 1] as linear RGB, [..., 3]."""
    values = np.asarray(colours, dtype=np.float64)
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def rgb(text: str) -> Floats:
    """ "#rrggbb" as sRGB in [0, 1]."""
    return np.array([int(text[place : place + 2], 16) for place in (1, 3, 5)]) / 255


def luminance(colours: ArrayLike) -> Floats:
    """Relative luminance of sRGB colours (WCAG 2.1)."""
    found: Floats = linear(colours) @ np.array([0.2126, 0.7152, 0.0722])
    return found


def contrast(first: str, second: str) -> float:
    """The contrast ratio of two colours (WCAG 2.1), from 1 to 21."""
    low, high = sorted(float(luminance(rgb(each))) for each in (first, second))
    return (high + 0.05) / (low + 0.05)


def seen(colours: ArrayLike, vision: str) -> Floats:
    """Linear RGB of sRGB colours as somebody with this vision sees them."""
    return np.clip(linear(colours) @ VISION[vision].T, 0, 1)


def lab(light: Floats) -> Floats:
    """CIE L*a*b* under D65 of linear RGB, [..., 3]."""
    scaled = light @ _XYZ.T / _XYZ.sum(axis=1)
    root = np.where(scaled > (6 / 29) ** 3, np.cbrt(scaled), scaled / (3 * (6 / 29) ** 2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def ciede2000(first: ArrayLike, second: ArrayLike) -> Floats:
    """The difference of colours in CIE L*a*b* (CIE 142-2001; notation of Sharma, Wu and Dalal 2005)."""
    (l1, a1, b1), (l2, a2, b2) = (np.moveaxis(np.asarray(each, dtype=np.float64), -1, 0) for each in (first, second))
    mean = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    grow = 1.5 - 0.5 * np.sqrt(mean**7 / (mean**7 + 25.0**7))
    c1, c2 = np.hypot(grow * a1, b1), np.hypot(grow * a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, grow * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    coloured = c1 * c2 > 0
    turn = np.where(coloured, (h2 - h1 + 180) % 360 - 180, 0.0)
    dh = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    middle = np.where(coloured, (h1 + turn / 2) % 360, h1 + h2)
    c, lightness = (c1 + c2) / 2, (l1 + l2) / 2
    t = 1 - 0.17 * np.cos(np.radians(middle - 30)) + 0.24 * np.cos(np.radians(2 * middle))
    t = t + 0.32 * np.cos(np.radians(3 * middle + 6)) - 0.20 * np.cos(np.radians(4 * middle - 63))
    sl = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    sc, sh = 1 + 0.045 * c, 1 + 0.015 * c * t
    rotated = np.sin(np.radians(60 * np.exp(-(((middle - 275) / 25) ** 2))))
    rt = -2 * np.sqrt(c**7 / (c**7 + 25.0**7)) * rotated
    dl, dc, dh = (l2 - l1) / sl, (c2 - c1) / sc, dh / sh
    found: Floats = np.sqrt(dl**2 + dc**2 + dh**2 + rt * dc * dh)
    return found


def nearest(colours: list[str], vision: str) -> tuple[float, str, str]:
    """The smallest difference (CIEDE2000) between two colours as seen with this vision, and the two colours."""
    points = {each: lab(seen(rgb(each), vision)) for each in colours}
    return min((float(ciede2000(points[one], points[two])), one, two) for one, two in combinations(points, 2))
