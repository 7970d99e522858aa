"""Train a small backbone, such as the embedded one, from a larger teacher, and measure the quality of its features.

`python -m tools.embedded_backbone.train_micro train` distils, `... evaluate` probes. The model card in weights/ gives
origin and results of the embedded weights.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from cl.backbone import Backbone, load
from cl.backbone.options import BackboneOptions
from cl.backbone.transform import Transform
from cl.data.folders import read_image_folder
from cl.data.readers import read_pack
from cl.data.sources import find_file
from cl.data.store import ImageStore
from cl.errors import UsageError
from cl.family import make_stream
from cl.files import replace_file, sha256_of, write_text
from cl.paths import home
from cl.training.encodings import Encodings, pixels_of
from tools.embedded_backbone.command import ErrorsInWords
from tools.embedded_backbone.distil import Settings, distil, initialise, teacher_targets

EMBEDDED = "vit_micro_patch4_32.tinyimagenet_distill"
SHIPPED_BYTES = 6_000_000  # maximum size of weights in the wheel
PROBE_C = 0.1  # inverse L2 penalty of the linear probe, chosen on part of CIFAR-100's training images
EXAMPLES = {
    "train": "train tinyimagenet.npz --teacher-size 224 --views 2 --passes 100 -o micro.safetensors",
    "evaluate": "evaluate vit_micro_patch4_32@micro.safetensors --stream split-cifar100",
}


@dataclass(frozen=True)
class Split:
    """Images of one or more sources; their classes are numbered consecutively."""

    stores: tuple[ImageStore, ...]
    labels: Tensor

    def resized(self, transform: Transform) -> Tensor:
        """All images as the student's input, uint8 [N, 3, size, size]."""
        plain = replace(transform, mean=(0.0,) * 3, std=(1 / 255,) * 3)
        blocks = [(s, np.arange(len(s))[i : i + 1024]) for s in self.stores for i in range(0, len(s), 1024)]
        return torch.cat([plain(pixels_of(s, rows)).round_().clamp_(0, 255).byte() for s, rows in blocks])


def read(sources: tuple[str, ...], limit: int | None = None, seed: int = 0) -> tuple[Split, Split, int]:
    """Training images, test images (possibly empty) and the number of classes.

    A source is a folder of images, or a pack (a path, or a name on `CLBENCH_DATA_PATH`). `limit` is the maximum number
    of training images per class. Raises `UsageError` if there are no training images.
    """
    found: dict[str, list[tuple[ImageStore, np.ndarray]]] = {"train": [], "test": []}
    classes = 0
    for source in sources:
        if Path(source).is_dir():
            dataset, _ = read_image_folder(Path(source), size=64, test_fraction=0.1, split_seed=seed)
            splits, names = {"train": dataset.train, "test": dataset.test}, dataset.class_names
        else:
            content = read_pack(find_file(source, kind="images"))
            splits, names = content.splits, content.class_names
        for split, store in splits.items():
            store = limited(store, limit if split == "train" else None)
            found[split].append((store, store.labels + classes))
        classes += len(names)
    if not found["train"]:
        raise UsageError(f"{', '.join(sources)} holds no training images; name a folder or a pack that does.")
    train, test = (
        Split(tuple(s for s, _ in pairs), torch.from_numpy(np.concatenate([y for _, y in pairs] or [np.empty(0, int)])))
        for pairs in found.values()
    )
    return train, test, classes


def limited(store: ImageStore, per_class: int | None) -> ImageStore:
    """The first `per_class` images of every class, in canonical order."""
    if per_class is None:
        return store
    place = np.arange(len(store)) - np.searchsorted(store.labels, store.labels)
    return ImageStore.from_arrays(store.pixels[place < per_class], store.labels[place < per_class])


def save(student: Backbone, path: Path, facts: dict[str, Any]) -> str:
    """Write float16 weights and, next to them, the stub of a model card; return the SHA-256 of the weights."""
    state = {name: value.detach().half().cpu().contiguous() for name, value in student.model.state_dict().items()}
    replace_file(path, lambda temporary: save_file(state, temporary, metadata={"format": "pt"}))
    digest = sha256_of(path)
    lines = [f"# {path.stem}", "", f"`{path.name}`: {path.stat().st_size:,} bytes, float16, sha256 {digest}", ""]
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    write_text(path.with_suffix(".card.md"), "\n".join(lines) + "\n")
    return digest


def probe(train: Tensor, train_labels: Tensor, test: Tensor, test_labels: Tensor) -> dict[str, float]:
    """Test accuracies of a linear classifier and of the nearest class mean (cosine) on standardised features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(train.numpy())
    x, z = scaler.transform(train.numpy()), torch.from_numpy(scaler.transform(test.numpy()))
    linear = LogisticRegression(C=PROBE_C, max_iter=500, tol=1e-3).fit(x, train_labels.numpy())
    names = train_labels.unique()
    means = torch.stack([torch.from_numpy(x)[train_labels == label].mean(0) for label in names])
    nearest = names[(F.normalize(z) @ F.normalize(means).T).argmax(1)]
    return {
        "linear_probe": float(linear.score(z.numpy(), test_labels.numpy())),
        "nearest_class_mean": float((nearest == test_labels).float().mean()),
    }


class _Commands(ErrorsInWords, click.Group):
    """The commands of this file."""


def _example(name: str) -> str:
    return f"\b\nExample:\n  python -m tools.embedded_backbone.train_micro {EXAMPLES[name]}"


@click.group(cls=_Commands, epilog="\n\n".join(map(_example, EXAMPLES)), context_settings={"show_default": True})
def main() -> None:
    """Train a small backbone from a larger teacher, and measure the quality of its frozen features."""


@main.command(epilog=_example("train"))
@click.argument("data", nargs=-1, required=True)
@click.option("--arch", default="vit_micro_patch4_32", help="timm model to train.")
@click.option("--teacher", default="deit_tiny_patch16_224.fb_in1k", help="Any backbone: arch.tag or arch@file.")
@click.option("--teacher-size", default=112, help="Input size of the teacher in pixels; 0: its own size.")
@click.option("--views", default=1, type=click.IntRange(1, 8), help="Views per image to average teacher features.")
@click.option("--passes", default=Settings.passes, type=click.IntRange(1), help="Budget in passes over the images.")
@click.option("--minutes", type=float, help="Budget in minutes of training; not exactly reproducible.")
@click.option("--batch-size", default=Settings.batch_size, type=click.IntRange(1))
@click.option("--lr", default=Settings.lr)
@click.option("--warmup", default=Settings.warmup, type=click.IntRange(1), help="Steps of linear warm-up.")
@click.option("--limit", type=click.IntRange(1), help="Training images per class.")
@click.option("--seed", default=0)
@click.option("--device", default="auto", help="auto: a GPU if there is one.")
@click.option("-o", "--output", default="vit_micro_patch4_32.safetensors", type=click.Path(path_type=Path))
def train(
    data: tuple[str, ...], arch: str, teacher: str, teacher_size: int, views: int, limit: int | None, device: str,
    output: Path, **settings: Any,
) -> None:  # fmt: skip
    """Distil a teacher into a small backbone on DATA: folders of images, or packs (.npz)."""
    chosen, where = Settings(**settings), _device(device)
    images, held_out, classes = read(data, limit, chosen.seed)
    student = load(f"{arch}@random", device=where, precision="bf16", seed=chosen.seed)
    if (size := 2 * student.identity["parameters"]) > SHIPPED_BYTES:
        click.echo(f"{arch} takes {size:,} bytes; the wheel has room for {SHIPPED_BYTES:,}.", err=True)
    begun = initialise(student.model, load(teacher, device=where).model)
    shown = load(teacher, BackboneOptions(image_size=teacher_size), device=where, precision="bf16")
    click.echo(f"{len(images.labels):,} images of {classes} classes, {views} view(s) of {teacher} ...", err=True)
    targets = teacher_targets(shown, images.stores, views, Encodings(home() / "features"), where).to(where)
    pixels, labels = images.resized(student.transform).to(where), images.labels.to(where)
    classifier, losses = distil(
        student, pixels, labels, targets, classes, chosen, lambda text: click.echo(text, err=True)
    )
    facts = {
        "Data": f"{', '.join(Path(name).name for name in data)}: {len(labels):,} images of {classes} classes",
        "Teacher": f"{teacher.partition('@')[0]} at {shown.transform.size} px, {views} view(s)",
        "Initialisation": "blocks of the teacher" if begun else "random",
        "Recipe": f"{len(losses)} steps of {asdict(chosen)}",
        "Loss": f"{np.mean(losses[-50:]):.4f} at the end",
    }
    if len(held_out.labels):
        with torch.no_grad():
            tests = held_out.resized(student.transform).split(256)
            scores = torch.cat([classifier(student(student.transform(part.to(where)))).cpu() for part in tests])
        facts["Held-out accuracy"] = f"{(scores.argmax(1) == held_out.labels).double().mean():.2%}"
    click.echo(f"{output}  sha256 {save(student, output, facts)}")


@main.command(epilog=_example("evaluate"))
@click.argument("backbone", default=EMBEDDED)
@click.option("--stream", default="split-cifar100", help="Stream whose images to use, as in clbench run.")
@click.option("--limit", type=click.IntRange(1), help="Training and test images per class.")
@click.option("--precision", default="bf16", type=click.Choice(["fp32", "bf16"]))
@click.option("--seed", default=0, help="Seed of the untrained twin.")
@click.option("--device", default="auto", help="auto: a GPU if there is one.")
def evaluate(backbone: str, stream: str, limit: int | None, precision: str, seed: int, device: str) -> None:
    """Probe the frozen features of BACKBONE, and of an untrained twin, on all images of a stream."""
    dataset = make_stream(stream, order_seed=seed, data_seed=seed).dataset
    stores = [limited(store, limit) for store in (dataset.train, dataset.test)]
    encodings = Encodings(home() / "features")
    click.echo(f"{stream}: {len(stores[0]):,} training and {len(stores[1]):,} test images, features in {precision}")
    twin = backbone.partition("@")[0].partition(".")[0] + "@random"
    for name in dict.fromkeys((backbone, twin)):
        model = load(name, device=_device(device), precision=precision, seed=seed)
        train, test = (encodings.get(model, s, np.arange(len(s)), _device(device)).cpu() for s in stores)
        encodings.flush()
        found = probe(train, torch.tensor(stores[0].labels), test, torch.tensor(stores[1].labels))
        click.echo(f"{name:44} " + "  ".join(f"{what} {100 * value:.2f} %" for what, value in found.items()))


def _device(name: str) -> torch.device:
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


if __name__ == "__main__":
    main()
