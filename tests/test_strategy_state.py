"""The state of a strategy: it travels to a fresh learner, without what is frozen; prediction leaves it alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from cl.strategies.finetune import Finetune
from cl.strategies.linear_probe import LinearProbe
from cl.strategies.slca import SLCA
from cl.training.checkpoint import Checkpoint
from cl.training.trainer import Trainer
from tests.conftest import make, run, tiny_backbone, tiny_stream

FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "flip"}


def test_prediction_is_pure(tmp_path: Path) -> None:
    learner, stream = make(Finetune, **FAST), tiny_stream()
    run(learner, stream, tmp_path)
    before = {name: value.clone() for name, value in learner.backbone.model.state_dict().items()}
    pixels = torch.from_numpy(stream.dataset.test.pixels[:9].copy()).permute(0, 3, 1, 2)
    assert torch.equal(learner.predict_images(pixels), learner.predict_images(pixels))
    assert all(torch.equal(before[name], value) for name, value in learner.backbone.model.state_dict().items())


def test_state_round_trip_into_a_fresh_learner(tmp_path: Path) -> None:
    stream = tiny_stream()
    learner = make(SLCA, **FAST, ca_epochs=1, ca_samples=8, milestones=())
    run(learner, stream, tmp_path, max_tasks=2)
    checkpoint = Checkpoint(tmp_path / "c", 0)
    checkpoint.save_event(learner.get_state())
    fresh = SLCA(learner.options, tiny_backbone(), Trainer())
    fresh.info = stream.info
    fresh.setup(stream.info)
    saved = checkpoint.load_event()
    assert saved is not None
    fresh.set_state(saved)
    pixels = torch.from_numpy(stream.dataset.test.pixels[:9].copy()).permute(0, 3, 1, 2)
    assert torch.equal(learner.predict_images(pixels), fresh.predict_images(pixels))


def test_frozen_pretrained_tensors_are_not_saved(tmp_path: Path) -> None:
    learner = make(LinearProbe, epochs=1, batch_size=16, folder=tmp_path)
    run(learner, tiny_stream(), tmp_path, max_tasks=1)
    assert learner.get_state()["backbone"] == {}
