"""SUN Attribute Database in little: sixty images with all attributes, and one that no list names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.miniatures.packing import mat_bytes, write_tar
from tools.miniatures.pen import Pen

ATTRIBUTES = tuple(
    each.strip()
    for each in """sailing/ boating, driving, biking, transporting things or people, sunbathing, vacationing/ touring,
    hiking, climbing, camping, reading, studying/ learning, teaching/ training, research, diving, swimming, bathing,
    eating, cleaning, socializing, congregating, waiting in line/ queuing, competing, sports, exercise, playing, gaming,
    spectating/ being in an audience, farming, constructing/ building, shopping, medical activity, working, using tools,
    digging, conducting business, praying, fencing, railing, wire, railroad, trees, grass, vegetation, shrubbery,
    foliage, leaves, flowers, asphalt, pavement, shingles, carpet, brick, tiles, concrete, metal, paper, wood (not part
    of a tree), vinyl/ linoleum, rubber/ plastic, cloth, sand, rock/stone, dirt/soil, marble, glass, waves/ surf, ocean,
    running water, still water, ice, snow, clouds, smoke, fire, natural light, direct sun/sunny, electric/indoor
    lighting, aged/ worn, glossy, matte, sterile, moist/ damp, dry, dirty, rusty, warm, cold, natural, man-made, open
    area, semi-enclosed area, enclosed area, far-away horizon, no horizon, rugged scene, mostly vertical components,
    mostly horizontal components, symmetrical, cluttered space, scary, soothing, stressful""".replace(
        "\n   ", ""
    ).split(",")
)
SCENES = ("a/abbey", "b/bedroom", "f/forest/broadleaf")


def write(folder: Path, pen: Pen) -> None:
    """SUNAttributeDB_Images.tar.gz with images/LETTER/SCENE/NAME.jpg, and SUNAttributeDB.tar.gz with MATLAB files."""
    images: dict[str, bytes] = {}
    votes = np.zeros((60, len(ATTRIBUTES)))
    for number in range(len(votes)):
        votes[number] = [((number + 1) * (place + 2) % 11 - 7) / 3 for place in range(len(ATTRIBUTES))]
        votes[number] = votes[number].clip(0, 1)
        present = [ATTRIBUTES[place] for place in np.flatnonzero(votes[number])]
        images[f"{SCENES[number % 3]}/sun_a{number:019}.jpg"] = pen.encoded("all", present, size=(40, 32))
    lists = {
        "attributes.mat": mat_bytes({"attributes": _cells(ATTRIBUTES)}),
        "images.mat": mat_bytes({"images": _cells(list(images))}),
        "attributeLabels_continuous.mat": mat_bytes({"labels_cv": votes}),
    }
    images["a/abbey/sun_unlisted.jpg"] = pen.encoded("", (), size=(40, 32))
    write_tar(folder / "SUNAttributeDB_Images.tar.gz", {f"images/{name}": data for name, data in images.items()})
    write_tar(folder / "SUNAttributeDB.tar.gz", {f"SUNAttributeDB/{name}": data for name, data in lists.items()})


def _cells(values: list[str] | tuple[str, ...]) -> np.ndarray:
    """A column of cells, each with a text."""
    cells = np.empty((len(values), 1), object)
    cells[:, 0] = values
    return cells
