"""MIT Indoor Scenes in little: two training and one test image of each of the 67 rooms, and one that no list names."""

from __future__ import annotations

from pathlib import Path

from tools.miniatures.packing import write_files, write_tar, write_zip
from tools.miniatures.pen import Pen

ROOMS = """airport_inside artstudio auditorium bakery bar bathroom bedroom bookstore bowling buffet casino children_room
church_inside classroom cloister closet clothingstore computerroom concert_hall corridor deli dentaloffice dining_room
elevator fastfood_restaurant florist gameroom garage greenhouse grocerystore gym hairsalon hospitalroom inside_bus
inside_subway jewelleryshop kindergarden kitchen laboratorywet laundromat library livingroom lobby locker_room mall
meeting_room movietheater museum nursery office operating_room pantry poolinside prisoncell restaurant
restaurant_kitchen shoeshop stairscase studiomusic subway toystore trainstation tv_studio videostore waitingroom
warehouse winecellar""".split()  # noqa: SIM905


def write(folder: Path, pen: Pen) -> None:
    """indoorCVPR_09.tar with Images/ROOM/NAME.jpg, and the two lists next to it."""
    images, lists = _content(pen)
    write_tar(folder / "indoorCVPR_09.tar", images)
    write_files(folder, lists)


def write_kaggle(folder: Path, pen: Pen) -> None:
    """indoor-scenes-cvpr-2019.zip with the authors' archive in a folder of its name, the lists, and annotations."""
    images, lists = _content(pen)
    content = {f"indoorCVPR_09/{name}": data for name, data in images.items()}
    write_zip(folder / "indoor-scenes-cvpr-2019.zip", {**content, **lists})


def _content(pen: Pen) -> tuple[dict[str, bytes], dict[str, bytes]]:
    images: dict[str, bytes] = {}
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for room in ROOMS:
        for number, split in enumerate(("train", "train", "test", "")):
            name = f"{room}/{room.split('_')[0]}_{number:02}.jpg"
            images[f"Images/{name}"] = pen.encoded(split, room, size=(40, 32))
            if split:
                lists[split].append(name)
    return images, {
        "TrainImages.txt": "\n".join(lists["train"]).encode(),
        "TestImages.txt": "\n".join(lists["test"]).encode(),
    }
