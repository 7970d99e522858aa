"""Caltech 101 in little: two images of each class, six of the first two, one of them grey."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import tar_bytes, write_tar, write_zip
from tools.miniatures.pen import Pen

CLASSES = """BACKGROUND_Google Faces Faces_easy Leopards Motorbikes accordion airplanes anchor ant barrel bass beaver
binocular bonsai brain brontosaurus buddha butterfly camera cannon car_side ceiling_fan cellphone chair chandelier
cougar_body cougar_face crab crayfish crocodile crocodile_head cup dalmatian dollar_bill dolphin dragonfly
electric_guitar elephant emu euphonium ewer ferry flamingo flamingo_head garfield gerenuk gramophone grand_piano
hawksbill headphone hedgehog helicopter ibis inline_skate joshua_tree kangaroo ketch lamp laptop llama lobster lotus
mandolin mayfly menorah metronome minaret nautilus octopus okapi pagoda panda pigeon pizza platypus pyramid revolver
rhino rooster saxophone schooner scissors scorpion sea_horse snoopy soccer_ball stapler starfish stegosaurus stop_sign
strawberry sunflower tick trilobite umbrella watch water_lilly wheelchair wild_cat windsor_chair wrench
yin_yang""".split()  # noqa: SIM905


def write(folder: Path, pen: Pen) -> None:
    """caltech-101.zip with two archives, of images and of outlines, and a program."""
    write_tar(folder / "images.tar.gz", _images(pen))
    packed = (folder / "images.tar.gz").read_bytes()
    (folder / "images.tar.gz").unlink()
    write_zip(
        folder / "caltech-101.zip",
        {
            "caltech-101/101_ObjectCategories.tar.gz": packed,
            "__MACOSX/caltech-101/._101_ObjectCategories.tar.gz": b"\0",
            "caltech-101/Annotations.tar": tar_bytes({"Annotations/accordion/annotation_0001.mat": b"\0"}),
            "caltech-101/show_annotation.m": b"% shows an outline\n",
        },
    )


def write_torchvision(folder: Path, pen: Pen) -> None:
    """The older archive, which torchvision leaves next to what it unpacks."""
    write_tar(folder / "101_ObjectCategories.tar.gz", _images(pen))


def _images(pen: Pen) -> dict[str, bytes]:
    content = {
        f"101_ObjectCategories/{name}/image_{number:04}.jpg": pen.encoded(
            "all", name, size=(30, 24), mode="L" if number == 2 else "RGB"
        )
        for place, name in enumerate(CLASSES)
        for number in range(1, 7 if place < 2 else 3)
    }
    return {**content, "101_ObjectCategories/BACKGROUND_Google/tmp": b""}
