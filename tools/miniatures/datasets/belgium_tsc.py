"""Belgium TSC in little: two training images and one test image of each of the 62 signs, in PPM files."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_files, write_zip
from tools.miniatures.pen import Pen

SIGNS = """A13 A14 A15 A1A A1B A1C A1D A23 A25 A29 A31 A33 A41 A51 A7A A7B A7C B15A B17 B1 B19 B5 C1 C11 C21 C23 C27 C29
C3 C31LEFT C31RIGHT C35 C43 D10 D1a D1b D3b D5 D7 D9 E1 E3 E5 E7 B21 E9a E9a_miva E9b E9c E9d E9e F12a F12b F19 F45 F47
F49 F50 F59 F87 B11 B9""".split()  # noqa: SIM905


def write(folder: Path, pen: Pen) -> None:
    """The two archives with a folder for each sign and a table of boxes in it, and the list of names."""
    for split, part, count in (("train", "Training", 2), ("test", "Testing", 1)):
        content: dict[str, bytes] = {f"{part}/Readme.txt": b"BelgiumTSC\n"}
        for number, sign in enumerate(SIGNS):
            table = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
            for each in range(count):
                name = f"{number * 7:05}_{each:05}.ppm"
                content[f"{part}/{number:05}/{name}"] = pen.encoded(split, sign, "PPM", (30, 34))
                table.append(f"{name};30;34;3;3;27;31;{number}")
            content[f"{part}/{number:05}/GT-{number:05}.csv"] = "\r\n".join(table).encode()
        write_zip(folder / f"BelgiumTSC_{part}.zip", content)
    lines = ["62 used traffic signs types", *SIGNS]
    write_files(folder, {"reducedSetTS.txt": ("\r\n".join(lines) + "\r\n").encode()})
