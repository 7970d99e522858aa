"""Train the text tower and the projections of a micro CLIP, whose image tower is the embedded backbone.

`python -m tools.embedded_backbone.train_micro_clip` reads packs of images, takes the names of their classes as captions
and writes one file with both towers, for `-b open_clip:micro_clip@FILE`.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from cl.backbone import Backbone, load
from cl.backbone.library import open_clip
from cl.backbone.text import TextTower
from cl.data.names import without_words
from cl.data.readers import read_pack
from cl.data.sources import find_file
from cl.data.store import ImageStore
from cl.errors import DataError, UsageError
from cl.family import make_stream
from cl.files import replace_file, sha256_of
from cl.parts.heads.text import ENSEMBLE, PLACE, class_texts
from cl.paths import home
from cl.training.encodings import Encodings
from tools.embedded_backbone.command import ErrorsInWords

ARCH = "micro_clip"
EMBEDDED = "vit_micro_patch4_32.tinyimagenet_distill"
PACKS = (
    "tinyimagenet_60", "caltech101", "eth80", "pacs_photo", "pacs_art_painting", "pacs_cartoon", "pacs_sketch",
    "clothing_small", "fashion_mnist", "scenes15", "hymenoptera",
)  # fmt: skip
"""Packs to look for, whose classes have names."""

TESTED = "split-cifar100"
"""The stream on which the result is tested, so none of its images may be trained on."""

EXAMPLE = "\b\nExample:\n  python -m tools.embedded_backbone.train_micro_clip -o micro_clip.safetensors"
SYNONYMS = 3
MARGIN = 0.01
"""Standard deviation of new token embeddings: words that no caption has stay near 0, and say little."""


@dataclass
class Pack:
    """Features [N, d] of the image tower before its projection, labels, and the names of each class, the main first."""

    name: str
    train: Tensor
    labels: Tensor
    test: Tensor
    test_labels: Tensor
    names: list[list[str]]

    @property
    def main(self) -> list[str]:
        return [names[0] for names in self.names]


def names_of(text: str) -> list[str]:
    """What a class is called: "n02099601 golden retriever" or "LivingRoom" in words; synonyms follow after commas."""
    text = re.sub(r"^n\d{8} ", "", text.strip())
    parts = [part.strip() for part in re.split(r"[,/]", text) if part.strip()]
    plain = [" ".join(re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", part).split()) for part in parts]
    latin = re.compile(r"[A-Z][a-z]+ [a-z]+")
    return [name for place, name in enumerate(plain) if place == 0 or not latin.fullmatch(name)][:SYNONYMS]


def spoken_as(names: list[str], rng: np.random.Generator) -> str:
    """One of the names of a class; of a main name of several words now and then the last, which says its kind."""
    name = names[0] if rng.random() < 0.6 else names[rng.integers(len(names))]
    return name.split()[-1] if rng.random() < 0.25 else name


def encoded(backbone: Backbone, store: ImageStore, per_class: int | None) -> tuple[Tensor, Tensor]:
    """Features [N, d] and labels of the first `per_class` images of every class; kept in the cache for the next run."""
    place = np.arange(len(store)) - np.searchsorted(store.labels, store.labels)
    rows = np.flatnonzero(place < (per_class or len(store)))
    encodings = Encodings(home() / "features")
    features = encodings.get(backbone, store, rows, torch.device("cpu"))
    encodings.flush()
    return features, torch.from_numpy(store.labels[rows]).long()


def read(names: tuple[str, ...], backbone: Backbone, limit: int | None = None) -> list[Pack]:
    """The packs that are found, with `limit` images per class and split.

    Raises `DataError` if there are none, `UsageError` for a pack that is tested on.
    """
    if tested := [name for name in names if name.startswith("cifar")]:
        raise UsageError(f"{tested[0]} may not be trained on: {TESTED} is what the result is tested on; leave it out.")
    found = []
    for name in names:
        try:
            content = read_pack(find_file(f"{name}.npz", kind="images"))
        except DataError as error:
            click.echo(f"{name} is left out: {error}", err=True)
            continue
        if nameless := without_words(content.class_names):
            raise UsageError(f"{name} cannot make captions: its class {nameless[0]!r} has no name; leave it out.")
        shown, held_out = (encoded(backbone, content.splits[split], limit) for split in ("train", "test"))
        found.append(Pack(name, *shown, *held_out, list(map(names_of, content.class_names))))
    if not found:
        raise DataError("no pack of images was found; set CLBENCH_DATA_PATH to a folder that holds some, or name one.")
    return found


def contrastive(images: Tensor, texts: Tensor, target: Tensor, scale: Tensor) -> Tensor:
    """The mean of two cross-entropies between unit vectors of images [B, d] and of the different captions [C, d].

    An image is to find its caption `target` among all; a caption its images, each with the same share.
    """
    logits = scale * images @ texts.T
    found = F.cross_entropy(logits, target)
    own = F.one_hot(target, len(texts)).T.to(logits.dtype)  # [C, B]
    return (found + F.cross_entropy(logits.T, own / own.sum(1, keepdim=True))) / 2


@dataclass(frozen=True)
class Recipe:
    """The optimisation: AdamW with a warm-up and half a cosine, for `steps` or, if given, `minutes`."""

    steps: int = 500
    minutes: float = 0.0
    batch_size: int = 512
    lr: float = 2e-3
    weight_decay: float = 0.1
    warmup: int = 50
    seed: int = 0


def train(network: Any, packs: list[Pack], recipe: Recipe) -> tuple[TextTower, int, float]:
    """Train the text tower and both projections of an open_clip network on encoded images.

    Returns the text tower, the number of steps and the mean loss of the last 50.
    """
    torch.manual_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    text = TextTower(network.text, open_clip().get_tokenizer(ARCH))
    with torch.no_grad():
        text.embedding.weight.mul_(MARGIN / text.embedding.weight.std())
    trained = [*text.parameters(), *network.visual.head.parameters(), network.logit_scale]
    for parameter in trained:
        parameter.requires_grad_(True)
    decayed = [parameter for parameter in trained if parameter.ndim > 1]
    others = [parameter for parameter in trained if parameter.ndim <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr, weight_decay=recipe.weight_decay)
    features = torch.cat([pack.train for pack in packs])
    classes = [names for pack in packs for names in pack.names]
    firsts = np.cumsum([0, *(len(pack.names) for pack in packs)])
    labels = np.concatenate([pack.labels.numpy() + first for pack, first in zip(packs, firsts, strict=False)])
    begun, losses, step, share = time.perf_counter(), [], 0, 0.0
    while share < 1:
        rows = rng.choice(len(features), min(recipe.batch_size, len(features)), replace=False)
        template = ENSEMBLE[rng.integers(len(ENSEMBLE))]
        said = [template.replace(PLACE, spoken_as(classes[label], rng)) for label in labels[rows]]
        unique = {caption: place for place, caption in enumerate(dict.fromkeys(said))}
        target = torch.tensor([unique[caption] for caption in said])
        factor = min(1.0, (step + 1) / recipe.warmup) * (1 + np.cos(np.pi * share)) / 2
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr * factor
        images = F.normalize(network.visual.head(features[torch.from_numpy(rows)]), dim=-1)
        loss = contrastive(images, text(text.tokens(list(unique))), target, network.logit_scale.exp())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            network.logit_scale.clamp_(0, float(np.log(100)))
        losses.append(float(loss.detach()))
        step += 1
        share = (time.perf_counter() - begun) / (60 * recipe.minutes) if recipe.minutes else step / recipe.steps
    for parameter in trained:
        parameter.requires_grad_(False)
    return text, step, float(np.mean(losses[-50:]))


@torch.no_grad()
def accuracy(network: Any, text: TextTower, features: Tensor, labels: Tensor, names: list[str]) -> float:
    """Share of images whose caption is the closest of all classes, with the ensemble of templates."""
    images = F.normalize(network.visual.head(features), dim=-1)
    return float(((images @ class_texts(text, names, "ensemble").T).argmax(1) == labels).double().mean())


def save(network: Any, path: Path) -> str:
    """Write both towers in float16; return the SHA-256 of the file."""
    state = {name: value.detach().half().contiguous() for name, value in network.state_dict().items()}
    replace_file(path, lambda temporary: save_file(state, temporary, metadata={"format": "pt"}))
    return sha256_of(path)


def new_network(backbone: Backbone) -> Any:
    """An untrained micro CLIP whose image tower is a backbone."""
    config = open_clip().get_model_config(ARCH)
    config.pop("custom_text")
    config["vision_cfg"]["timm_model_pretrained"] = False
    network = open_clip().CustomTextCLIP(**config).eval().requires_grad_(False)
    network.visual.trunk.load_state_dict(backbone.model.state_dict())
    return network


@click.command(cls=ErrorsInWords, epilog=EXAMPLE, context_settings={"show_default": True})
@click.argument("packs", nargs=-1)
@click.option("--steps", default=Recipe.steps, type=click.IntRange(1), help="Budget in steps.")
@click.option(
    "--minutes", default=0.0, help="Budget in minutes of training in place of steps; not exactly reproducible."
)
@click.option("--batch-size", default=Recipe.batch_size, type=click.IntRange(2), help="Images per step.")
@click.option("--lr", default=Recipe.lr, help="Learning rate of AdamW.")
@click.option("--weight-decay", default=Recipe.weight_decay, help="Weight decay of matrices.")
@click.option("--warmup", default=Recipe.warmup, type=click.IntRange(1), help="Steps of linear warm-up.")
@click.option("--limit", default=60, type=click.IntRange(1), help="Training and held-out images per class.")
@click.option("--seed", default=0, help="Seed of weights, batches and captions.")
@click.option("--test/--no-test", default=True, help=f"Test on the images of {TESTED}, if they are here.")
@click.option(
    "-o", "--output", default="micro_clip.safetensors", type=click.Path(path_type=Path), help="File to write."
)
def main(packs: tuple[str, ...], output: Path, test: bool, limit: int, **settings: Any) -> None:
    """Train a micro CLIP on PACKS (names of .npz files in CLBENCH_DATA_PATH; by default all known ones that are found).

    The image tower is the embedded backbone and stays as it is; its images are encoded once.
    """
    recipe = Recipe(**settings)
    torch.manual_seed(recipe.seed)
    begun = time.perf_counter()
    backbone = load(EMBEDDED, precision="bf16")
    network = new_network(backbone)
    read_packs = read(packs or PACKS, backbone, limit)
    images = sum(len(pack.train) for pack in read_packs)
    click.echo(
        f"{images:,} images of {len(read_packs)} packs, encoded in {time.perf_counter() - begun:.0f} s", err=True
    )
    begun = time.perf_counter()
    text, steps, loss = train(network, read_packs, recipe)
    click.echo(f"{steps} steps in {time.perf_counter() - begun:.0f} s, loss {loss:.3f}", err=True)
    for pack in read_packs:
        found = accuracy(network, text, pack.test, pack.test_labels, pack.main)
        click.echo(f"{pack.name:<20} {100 * found:6.2f} % of {len(pack.test):,} held-out images")
    if test:
        try:
            dataset = make_stream(TESTED).dataset
        except DataError as error:
            click.echo(f"not tested: {error}", err=True)
        else:
            features, labels = encoded(backbone, dataset.test, None)
            found = accuracy(network, text, features, labels, list(dataset.class_names))
            click.echo(f"{TESTED:<20} {100 * found:6.2f} % of {len(labels):,} test images, zero-shot")
    click.echo(f"{output}  sha256 {save(network, output)}")


if __name__ == "__main__":
    main()
