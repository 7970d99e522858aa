"""Files of the Tampere Image Databases."""

from __future__ import annotations

from tools.miniatures.pen import Pen

REFERENCES = 25
CLASSES = tuple(f"quality {each} of 5" for each in range(1, 6))


def database(pen: Pen, distortions: int, levels: int, mssim: str) -> dict[str, bytes]:
    """Every seventh distorted image, the values of one metric for all of them, and reference images."""
    keys = [
        (reference, distortion, level)
        for reference in range(1, REFERENCES + 1)
        for distortion in range(1, distortions + 1)
        for level in range(1, levels + 1)
    ]
    values = [1 - (place * 7919 % 997) / 2000 for place in range(len(keys))]
    ordered, share = sorted(values), len(values) // len(CLASSES)
    content = {f"metrics_values/{mssim}": "".join(f"{value:.7f}\r\n" for value in values).encode()}
    for place, (reference, distortion, level) in enumerate(keys):
        if place % 7 == 0:
            first = "I" if place % 2 else "i"
            name = f"distorted_images/{first}{reference:02}_{distortion:02}_{level}.bmp"
            content[name] = pen.encoded("all", CLASSES[ordered.index(values[place]) // share], "BMP", (32, 24))
    for reference in (1, REFERENCES):
        content[f"reference_images/I{reference:02}.BMP"] = pen.encoded("", "", "BMP", (32, 24))
    content["mos.txt"] = b"".join(b"5.0000\r\n" for _ in keys)
    content["mos_with_names.txt"] = "".join(f"5.0000 i{a:02}_{b:02}_{c}.bmp\r\n" for a, b, c in keys).encode()
    return content
