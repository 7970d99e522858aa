"""The script that trains the embedded backbone: the file that it writes, and the measurements of `evaluate`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from click.testing import CliRunner

from cl.backbone import load
from cl.data.store import ImageStore
from cl.files import sha256_of
from tools.embedded_backbone.train_micro import limited, main, probe, read


def test_train_writes_weights_that_load(pack: Path, tmp_path: Path) -> None:
    output = tmp_path / "micro.safetensors"
    arguments = ["train", str(pack), "--teacher", "test_vit@random", "--teacher-size", "0", "--views", "2"]
    run = CliRunner().invoke(main, [*arguments, "--passes", "3", "--batch-size", "12", "-o", str(output)])
    assert run.exit_code == 0, run.output
    digest = sha256_of(output)
    assert digest in run.stdout and output.stat().st_size <= 6_000_000
    card = output.with_suffix(".card.md").read_text()
    assert digest in card and "24 images of 3 classes" in card and "Initialisation: random" in card
    assert "6 steps" in card and "Held-out accuracy" in card and str(tmp_path) not in card
    trained = load(f"vit_micro_patch4_32@{output}")
    start = load("vit_micro_patch4_32@random")
    assert trained.dim == 192 and all(torch.isfinite(p).all() for p in trained.parameters())
    pairs = zip(trained.parameters(), start.parameters(), strict=True)
    assert not all(torch.equal(a, b.half().float()) for a, b in pairs), "trained, not only rounded"
    assert not list(tmp_path.glob(".*.tmp"))


def test_classes_of_several_sources_are_numbered_consecutively_and_images_limited(pack: Path) -> None:
    train, test, classes = read((str(pack), str(pack)), limit=2)
    assert classes == 6 and train.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5] and len(test.labels) == 24
    small = train.resized(load("vit_micro_patch4_32@random").transform)
    assert small.shape == (12, 3, 32, 32) and small.dtype == torch.uint8
    assert small[0, 0].float().mean() > 150 > small[0, 1].float().mean(), "red stays red"


def test_missing_data_gives_one_sentence() -> None:
    run = CliRunner().invoke(main, ["train", "nowhere.npz"])
    assert run.exit_code == 3 and "nowhere.npz" in run.stderr and "Traceback" not in run.output


def test_the_probe_beats_chance_and_scales_features() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 10
    centres = torch.randn(10, 32, generator=generator)
    features = (centres[labels] + torch.randn(400, 32, generator=generator)) * torch.logspace(-3, 3, 32) + 5
    found = probe(features[:300], labels[:300], features[300:], labels[300:])
    assert found["linear_probe"] > 0.8 and found["nearest_class_mean"] > 0.8


def test_the_limit_keeps_the_first_images_of_every_class() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 2, 2, 1), dtype=np.uint8)
    store = ImageStore.from_arrays(pixels, np.repeat([0, 1, 2], 3))
    kept = limited(store, 2)
    assert kept.labels.tolist() == [0, 0, 1, 1, 2, 2] and np.array_equal(kept.pixels[2:4], store.pixels[3:5])
    assert limited(store, None) is store


def test_evaluate_compares_with_an_untrained_twin() -> None:
    run = CliRunner().invoke(main, ["evaluate", "--stream", "split-digits", "--limit", "10"])
    assert run.exit_code == 0, run.output
    assert "100 training and 100 test images" in run.stdout
    trained, twin = run.stdout.splitlines()[1:]
    assert trained.startswith("vit_micro_patch4_32.tinyimagenet_distill") and twin.startswith(
        "vit_micro_patch4_32@random"
    )
    assert float(trained.split("linear_probe")[1].split()[0]) > 50
