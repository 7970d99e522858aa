"""The other programs in benchmarks/ run and compare equal work; no test asserts a time."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from benchmarks import (
    joined_batches,
    loop_overhead,
    low_rank,
    many_rows,
    memory_methods,
    merging_memory,
    online,
    sparse_steps,
    startup,
    table_lookup,
)
from cl.backbone import Backbone
from cl.parts.merging import Weights, average
from cl.testing import tiny_backbone

SMALL = {"epochs": 1, "batch_size": 4, "stream.train_per_class": 4, "stream.test_per_class": 2}


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(loop_overhead.STREAMS, "split-digits", SMALL)


def test_fit_and_bare_loop_end_with_the_same_weights() -> None:
    found = loop_overhead.compare("split-digits", 1, least=5)
    assert found["steps"] == 6, "two steps per epoch, and as many epochs as five steps need"
    (ratio,) = found["ratios"]
    assert ratio > 0


def test_different_weights_stop_the_comparison(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop_overhead, "time_bare", lambda *_: 1.0)  # a bare loop that does nothing
    with pytest.raises(SystemExit, match="different weights"):
        loop_overhead.compare("split-digits", 1, least=1)


def test_parts_of_a_whole_run() -> None:
    found = loop_overhead.whole_run("split-digits")
    assert {"forward", "backward", "optimizer", "data"} <= set(found["parts"])
    assert 0 < found["overhead_seconds"] < found["seconds"]


def test_the_frozen_step_trains_one_bias_before_the_first_attention() -> None:
    backbone = tiny_backbone()
    steps = low_rank.steps_of(backbone, 2, 3, torch.randn(4, 3, 8, 8))
    assert all(float(step()) > 0 for step in steps.values())
    trained = [name for name, value in backbone.model.named_parameters() if value.grad is not None]
    assert trained == ["blocks.0.norm1.bias"]
    ratios = low_rank.compare(backbone, 2, 3, batch=4, rounds=2)
    assert {name: len(found) for name, found in ratios.items()} == {"lora / frozen": 2, "per image / shared": 2}


@pytest.mark.parametrize(("name", "images"), [("replay", 8), ("der-pp, beta=0.5", 12), ("wa", 4), ("a-gem", 8)])
def test_methods_with_a_memory_are_paired_with_as_many_images(name: str, images: int) -> None:
    case, options = memory_methods.CASES[name], {**SMALL, "stream.tasks": 5}
    own = memory_methods.steps_of(case, "split-digits", options, "fp32")
    assert own.whole()[1] == own.largest == images, "new and remembered"
    assert float(own.fit.loss_sum) > 0 and own.fit.key.task == 1
    assert own.fit.optimizer.state, "the optimiser moved"


def test_a_reference_has_the_frozen_passes_of_its_method(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[bool] = []
    forward = Backbone.forward

    def counted(self: Backbone, images: torch.Tensor) -> torch.Tensor:
        passes.append(torch.is_grad_enabled())
        return forward(self, images)

    plain = memory_methods.steps_of(memory_methods.CASES["finetune"], "split-digits", SMALL, "fp32", added=2)
    plain.one()  # the first of a shape is counted
    monkeypatch.setattr(Backbone, "forward", counted)
    plain.one()
    assert passes == [False, False, True]


def test_a_method_without_the_fit_is_not_measured() -> None:
    with pytest.raises(SystemExit, match="no fit 'other'"):
        memory_methods.steps_of(memory_methods.Case("finetune", phase="other"), "split-digits", SMALL, "fp32")


def test_every_merge_reads_vectors_that_are_made_when_read() -> None:
    shapes = {"a.weight": torch.Size([4, 4]), "b": torch.Size([3])}
    made: list[Weights] = [merging_memory.Made(shapes, seed) for seed in range(3)]
    assert torch.equal(made[1]["b"], made[1]["b"]) and not torch.equal(made[1]["b"], made[2]["b"])
    assert torch.allclose(average(made)["b"], (made[0]["b"] + made[1]["b"] + made[2]["b"]) / 3)
    for name, merge in merging_memory.merges({"a.weight": 1}).items():
        merged = cast(Weights, merge(made))
        assert {key: value.shape for key, value in merged.items()} == shapes, name


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_of_an_average_is_its_result_and_little_more() -> None:
    command = ["--backbone", "vit_tiny_patch16_224", "--count", "8", "--only", "average"]
    printed = CliRunner().invoke(merging_memory.main, command).output
    assert 0.9 < float(printed.splitlines()[-1].split("|")[2]) < 2, printed


def test_online_and_one_fit_take_the_same_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(online, "CHUNK", 8)
    ratios, steps = online.compare("split-digits", 2, rounds=1)
    assert len(ratios) == 1 and steps == 3, "20 images in chunks of 8"


def test_features_of_the_synthetic_table_are_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = table_lookup.measure(5000, tmp_path)
    assert set(found) == {"compute", "tasks", "batches", "read and tasks"}
    monkeypatch.setattr(table_lookup.Nothing, "__call__", lambda self, images: torch.zeros(len(images), 1))
    with pytest.raises(SystemExit, match="wrong"):
        table_lookup.measure(2000, tmp_path / "other")


def test_a_command_that_fails_is_not_measured() -> None:
    assert startup.spent("pass", environment={}) > 0
    with pytest.raises(SystemExit, match="exit code 3"):
        startup.spent("import sys; sys.exit(3)", environment={"PATH": sys.executable})


@pytest.mark.parametrize("name", ["cl-dst", "packnet", "wsn"])
def test_steps_with_masks_are_paired_with_dense_steps_of_as_many_images(name: str) -> None:
    options = {"stream.tasks": 5, **SMALL, "augment": "none"}
    ratios = sparse_steps.compare([name], "split-digits", "mlp_2x100_28@random", options, frequency=2, rounds=1)
    assert len(ratios[name]) == 1 and ratios[name][0] > 0
    steps = sparse_steps.steps_of(name, "split-digits", "mlp_2x100_28@random", options)
    assert steps.whole()[1] == 4 and steps.fit.key.task == 1


def test_joined_and_copied_batches_have_the_same_pixels(tmp_path: Path) -> None:
    joined, copy = joined_batches.stores_in(tmp_path, 3, 10, 4)
    batches = [np.arange(10), np.arange(30)[::-2], np.array([29, 0])]
    assert joined_batches.compare(joined, copy, batches) > 0
    changed = np.array(copy)
    changed[29] ^= 1
    with pytest.raises(SystemExit, match="others than the copied ones"):
        joined_batches.compare(joined, changed, batches)


def test_a_generated_stream_is_read_planned_and_opened(tmp_path: Path) -> None:
    found = many_rows.measure(tmp_path, rows=400, side=4, classes=4, tasks=2)
    assert found["read, open, first batch"].output == found["open, first batch"].output
    assert "320 to train on, 80 to test on" in found["run --dry-run"].output and "many-2" in found["info"].output
    assert all(step.peak > 10 << 20 for step in found.values())


@pytest.mark.slow
def test_a_stream_needs_few_bytes_per_image(tmp_path: Path) -> None:
    """Label, hash, order and row of each image are held, 8 bytes each or fewer, some of them twice for a while."""
    program = (
        "import sys; import cl.data.readers as readers; from cl.family import make_stream\n"
        "readers._IN_MEMORY = 0\n"
        "make_stream(sys.argv[1], progress=lambda *_: None)"
    )
    peaks = []
    for rows in (200_000, 1_200_000):
        folder = tmp_path / str(rows)
        folder.mkdir()
        stream = str(many_rows.write_stream(folder, rows, 4, 20, 4))
        peaks.append([many_rows.run(folder / "home", program, stream).peak for _ in ("decoded", "opened")])
    first, again = ((large - small) / 1e6 for small, large in zip(*peaks, strict=True))
    assert first < 250 and again < 150, f"bytes per image: {first:.0f} when decoded, {again:.0f} when opened"
