"""Caltech 101 Silhouettes in little: one image of each class in each split, two for training of the first two."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tools.miniatures.packing import mat_bytes, write_files
from tools.miniatures.pen import Pen

CLASSES = """
accordion airplanes anchor ant barrel bass beaver binocular bonsai brain brontosaurus buddha butterfly camera
cannon car_side ceiling_fan cellphone chair chandelier cougar_body cougar_face crab crayfish crocodile
crocodile_head cup dalmatian dollar_bill dolphin dragonfly electric_guitar elephant emu euphonium ewer Faces
Faces_easy ferry flamingo flamingo_head garfield gerenuk gramophone grand_piano hawksbill headphone hedgehog
helicopter ibis inline_skate joshua_tree kangaroo ketch lamp laptop Leopards llama lobster lotus mandolin mayfly
menorah metronome minaret Motorbikes nautilus octopus okapi pagoda panda pigeon pizza platypus pyramid revolver
rhino rooster saxophone schooner scissors scorpion sea_horse snoopy soccer_ball stapler starfish stegosaurus
stop_sign strawberry sunflower tick trilobite umbrella watch water_lilly wheelchair wild_cat windsor_chair wrench
yin_yang
""".split()  # noqa: SIM905


def write(folder: Path, pen: Pen) -> None:
    """A file of all images with the names, and one with a split; pixels column by column, 0 or 1."""
    pixels: dict[str, np.ndarray] = {}
    labels: dict[str, np.ndarray] = {}
    for split in ("train", "val", "test"):
        places = [*range(len(CLASSES)), *((0, 1) if split == "train" else ())]
        drawn = [np.asarray(pen.draw(split, CLASSES[each], (28, 28), "L")).T.reshape(-1) for each in places]
        pixels[split] = (np.stack(drawn) > 128).astype(np.uint8)
        labels[split] = np.array(places, np.uint16)[:, None] + 1
    parts = {f"{split}_data": data for split, data in pixels.items()}
    parts |= {f"{split}_labels": own for split, own in labels.items()}
    everything = {
        "X": np.concatenate(list(pixels.values())),
        "Y": np.concatenate(list(labels.values())).T,
        "classnames": np.array([[np.array([name]) for name in CLASSES]], dtype=object).reshape(1, -1),
    }
    write_files(folder, {"caltech101_silhouettes_28.mat": mat_bytes(everything)})
    write_files(folder, {"caltech101_silhouettes_28_split1.mat": mat_bytes(parts)})
