"""Domains of DomainNet: one training and one test image of each of the 345 classes, and some that no list names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from tools.miniatures.packing import write_files, write_zip
from tools.miniatures.pen import Pen

CLASSES = tuple(
    """aircraft_carrier airplane alarm_clock ambulance angel animal_migration ant anvil apple arm asparagus axe backpack
    banana bandage barn baseball baseball_bat basket basketball bat bathtub beach bear beard bed bee belt bench bicycle
    binoculars bird birthday_cake blackberry blueberry book boomerang bottlecap bowtie bracelet brain bread bridge
    broccoli broom bucket bulldozer bus bush butterfly cactus cake calculator calendar camel camera camouflage campfire
    candle cannon canoe car carrot castle cat ceiling_fan cello cell_phone chair chandelier church circle clarinet
    clock cloud coffee_cup compass computer cookie cooler couch cow crab crayon crocodile crown cruise_ship cup diamond
    dishwasher diving_board dog dolphin donut door dragon dresser drill drums duck dumbbell ear elbow elephant envelope
    eraser eye eyeglasses face fan feather fence finger fire_hydrant fireplace firetruck fish flamingo flashlight
    flip_flops floor_lamp flower flying_saucer foot fork frog frying_pan garden garden_hose giraffe goatee golf_club
    grapes grass guitar hamburger hammer hand harp hat headphones hedgehog helicopter helmet hexagon hockey_puck
    hockey_stick horse hospital hot_air_balloon hot_dog hot_tub hourglass house house_plant hurricane ice_cream jacket
    jail kangaroo key keyboard knee knife ladder lantern laptop leaf leg light_bulb lighter lighthouse lightning line
    lion lipstick lobster lollipop mailbox map marker matches megaphone mermaid microphone microwave monkey moon
    mosquito motorbike mountain mouse moustache mouth mug mushroom nail necklace nose ocean octagon octopus onion oven
    owl paintbrush paint_can palm_tree panda pants paper_clip parachute parrot passport peanut pear peas pencil penguin
    piano pickup_truck picture_frame pig pillow pineapple pizza pliers police_car pond pool popsicle postcard potato
    power_outlet purse rabbit raccoon radio rain rainbow rake remote_control rhinoceros rifle river roller_coaster
    rollerskates sailboat sandwich saw saxophone school_bus scissors scorpion screwdriver sea_turtle see_saw shark
    sheep shoe shorts shovel sink skateboard skull skyscraper sleeping_bag smiley_face snail snake snorkel snowflake
    snowman soccer_ball sock speedboat spider spoon spreadsheet square squiggle squirrel stairs star steak stereo
    stethoscope stitches stop_sign stove strawberry streetlight string_bean submarine suitcase sun swan sweater
    swing_set sword syringe table teapot teddy-bear telephone television tennis_racquet tent The_Eiffel_Tower
    The_Great_Wall_of_China The_Mona_Lisa tiger toaster toe toilet tooth toothbrush toothpaste tornado tractor
    traffic_light train tree triangle trombone truck trumpet t-shirt umbrella underwear van vase violin washing_machine
    watermelon waterslide whale wheel windmill wine_bottle wine_glass wristwatch yoga zebra zigzag""".split()  # noqa: SIM905
)
"""In the authors' order."""


def write_domain(
    folder: Path, pen: Pen, domain: str, kind: str = "JPEG", unpacked: bool = False,
    absent: Mapping[str, Collection[str]] = {},
) -> None:  # fmt: skip
    """DOMAIN.zip with DOMAIN/CLASS/DOMAIN_CLASS_NUMBER.jpg, and the two lists of paths and numbers of classes.

    The first two classes have five training images, so that some can be held out. `absent` are the classes that the
    list of a split lacks. Unpacked, the lists are in a folder splits/.
    """
    content: dict[str, bytes] = {}
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for number, name in enumerate(CLASSES):
        more = ("train",) * 4 if number < 2 else ()
        for image, split in enumerate(("train", "test", *more, *(("",) if number % 20 == 0 else ())), start=1):
            split = "" if name in absent.get(split, ()) else split
            path = f"{domain}/{name}/{domain}_{number + 1:03}_{image:06}.{'png' if kind == 'PNG' else 'jpg'}"
            content[path] = pen.encoded(split, name, kind, size=(20, 16))
            if split:
                lists[split].append(f"{path} {number}")
    texts = {f"{domain}_{split}.txt": ("\n".join(lines) + "\n").encode() for split, lines in lists.items()}
    if unpacked:
        write_files(folder, content | {f"splits/{name}": data for name, data in texts.items()})
    else:
        write_zip(folder / f"{domain}.zip", content)
        write_files(folder, texts)
