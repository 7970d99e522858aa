"""Food-101 in little: two training images and one test image of each dish, and one that no list names."""

from __future__ import annotations

import json
from pathlib import Path

from tools.miniatures.packing import write_tar
from tools.miniatures.pen import Pen

DISHES = """apple_pie baby_back_ribs baklava beef_carpaccio beef_tartare beet_salad beignets bibimbap bread_pudding
breakfast_burrito bruschetta caesar_salad cannoli caprese_salad carrot_cake ceviche cheesecake cheese_plate
chicken_curry chicken_quesadilla chicken_wings chocolate_cake chocolate_mousse churros clam_chowder club_sandwich
crab_cakes creme_brulee croque_madame cup_cakes deviled_eggs donuts dumplings edamame eggs_benedict escargots falafel
filet_mignon fish_and_chips foie_gras french_fries french_onion_soup french_toast fried_calamari fried_rice
frozen_yogurt garlic_bread gnocchi greek_salad grilled_cheese_sandwich grilled_salmon guacamole gyoza hamburger
hot_and_sour_soup hot_dog huevos_rancheros hummus ice_cream lasagna lobster_bisque lobster_roll_sandwich
macaroni_and_cheese macarons miso_soup mussels nachos omelette onion_rings oysters pad_thai paella pancakes panna_cotta
peking_duck pho pizza pork_chop poutine prime_rib pulled_pork_sandwich ramen ravioli red_velvet_cake risotto samosa
sashimi scallops seaweed_salad shrimp_and_grits spaghetti_bolognese spaghetti_carbonara spring_rolls steak
strawberry_shortcake sushi tacos takoyaki tiramisu tuna_tartare waffles""".split()  # noqa: SIM905


def write(folder: Path, pen: Pen) -> None:
    """food-101.tar.gz with images/DISH/NUMBER.jpg, and lists of splits and dishes as text and JSON."""
    content: dict[str, bytes] = {}
    lists: dict[str, dict[str, list[str]]] = {"train": {}, "test": {}}
    for place, dish in enumerate(DISHES):
        for number, split in enumerate(("train", "train", "test", "")):
            name = f"{dish}/{1000 * place + number + 7}"
            content[f"images/{name}.jpg"] = pen.encoded(split, dish, size=(40, 32))
            if split:
                lists[split].setdefault(dish, []).append(name)
    for split, named in lists.items():
        content[f"meta/{split}.txt"] = _text([name for names in named.values() for name in names])
        content[f"meta/{split}.json"] = json.dumps(named).encode()
    content["meta/classes.txt"] = _text(DISHES)
    content["meta/labels.txt"] = _text([dish.replace("_", " ").capitalize() for dish in DISHES])
    content["license_agreement.txt"] = content["README.txt"] = b"Food-101\n"
    write_tar(folder / "food-101.tar.gz", {f"food-101/{name}": data for name, data in content.items()})


def _text(lines: list[str]) -> bytes:
    return ("\n".join(lines) + "\n").encode()
