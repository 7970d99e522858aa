"""TU Berlin's sketches in little: two of each of the 250 objects, six of the first two, grey, and the list of files."""

from __future__ import annotations

from pathlib import Path

from cl.data.official.tables import listed
from tools.miniatures.packing import write_zip
from tools.miniatures.pen import Pen

OBJECTS = listed(
    """airplane, alarm clock, angel, ant, apple, arm, armchair, ashtray, axe, backpack, banana, barn, baseball bat,
    basket, bathtub, bear (animal), bed, bee, beer-mug, bell, bench, bicycle, binoculars, blimp, book, bookshelf,
    boomerang, bottle opener, bowl, brain, bread, bridge, bulldozer, bus, bush, butterfly, cabinet, cactus, cake,
    calculator, camel, camera, candle, cannon, canoe, car (sedan), carrot, castle, cat, cell phone, chair,
    chandelier, church, cigarette, cloud, comb, computer monitor, computer-mouse, couch, cow, crab, crane (machine),
    crocodile, crown, cup, diamond, dog, dolphin, donut, door, door handle, dragon, duck, ear, elephant, envelope,
    eye, eyeglasses, face, fan, feather, fire hydrant, fish, flashlight, floor lamp, flower with stem, flying bird,
    flying saucer, foot, fork, frog, frying-pan, giraffe, grapes, grenade, guitar, hamburger, hammer, hand, harp,
    hat, head, head-phones, hedgehog, helicopter, helmet, horse, hot air balloon, hot-dog, hourglass, house,
    human-skeleton, ice-cream-cone, ipod, kangaroo, key, keyboard, knife, ladder, laptop, leaf, lightbulb, lighter,
    lion, lobster, loudspeaker, mailbox, megaphone, mermaid, microphone, microscope, monkey, moon, mosquito,
    motorbike, mouse (animal), mouth, mug, mushroom, nose, octopus, owl, palm tree, panda, paper clip, parachute,
    parking meter, parrot, pear, pen, penguin, person sitting, person walking, piano, pickup truck, pig, pigeon,
    pineapple, pipe (for smoking), pizza, potted plant, power outlet, present, pretzel, pumpkin, purse, rabbit, race
    car, radio, rainbow, revolver, rifle, rollerblades, rooster, sailboat, santa claus, satellite, satellite dish,
    saxophone, scissors, scorpion, screwdriver, sea turtle, seagull, shark, sheep, ship, shoe, shovel, skateboard,
    skull, skyscraper, snail, snake, snowboard, snowman, socks, space shuttle, speed-boat, spider, sponge bob,
    spoon, squirrel, standing bird, stapler, strawberry, streetlight, submarine, suitcase, sun, suv, swan, sword,
    syringe, t-shirt, table, tablelamp, teacup, teapot, teddy-bear, telephone, tennis-racket, tent, tiger, tire,
    toilet, tomato, tooth, toothbrush, tractor, traffic light, train, tree, trombone, trousers, truck, trumpet, tv,
    umbrella, van, vase, violin, walkie talkie, wheel, wheelbarrow, windmill, wine-bottle, wineglass, wrist-watch,
    zebra"""
)


def write(folder: Path, pen: Pen) -> None:
    """sketches_png.zip with png/OBJECT/NUMBER.png, numbers counted through all objects, and png/filelist.txt."""
    content = {
        f"png/{label}/{place * 80 + count}.png": pen.encoded("all", label, "PNG", mode="L")
        for place, label in enumerate(OBJECTS)
        for count in ((1, 80, 2, 3, 4, 5) if place < 2 else (1, 80))
    }
    content["png/filelist.txt"] = "\n".join(name.removeprefix("png/") for name in content).encode()
    write_zip(folder / "sketches_png.zip", content)
