"""Zero-shot classification: its head, and fine-tuning that starts from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.errors import Incompatible
from cl.parts.heads import class_texts
from cl.plan.needs import refuse
from cl.strategies.zero_shot import ZeroShot
from cl.testing import check_strategy
from cl.testing.workbench import Workbench, tiny_clip
from cl.training.trainer import Trainer
from tests.conftest import tiny_stream
from tests.help.clip import Watching


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{"template": "ensemble"}, {"trains": "all", "memory_size": 20, "batch_size": 8}, {"trains": "backbone"}],
    ids=["none", "replay", "backbone"],
)
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    check_strategy("zero-shot", options=options)


def test_it_keeps_the_contract_without_training() -> None:
    check_strategy("zero-shot")


def learned(tasks: int = 2, trainer: Trainer | None = None, **options: Any) -> Any:
    quick = {"epochs": 1, "batch_size": 16, "augment": "none", **options}
    method, stream = ZeroShot(ZeroShot.Options(**quick), tiny_clip(), trainer or Trainer()), tiny_stream()
    method.info = stream.info
    method.trainer.encodings.expect(stream)
    method.setup(stream.info)
    for task in range(tasks):
        method.trainer.journal.begin(task)
        view = stream.view(task)
        method.learn(view)
        view.revoke()
    return method


def scores(method: Any, pixels: Tensor, rows: Tensor) -> Tensor:
    backbone = method.backbone
    return F.normalize(backbone(backbone.transform(pixels)), dim=-1) @ rows.T


def test_nothing_is_trained_and_the_answers_are_those_of_clip() -> None:
    method, stream = learned(template="ensemble"), tiny_stream()
    pixels = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    seen = sum(stream.info.classes_per_task[:2])
    rows = 100 * class_texts(method.backbone.text, stream.info.class_names[:seen], "ensemble")
    assert torch.allclose(method.predict_images(pixels), scores(method, pixels, rows), atol=1e-3)
    assert method.backbone.is_pristine and method.trainer.cost.trainable == 0


@pytest.mark.parametrize(("trains", "changes"), [("head", "head"), ("backbone", "tower"), ("all", "both")])
def test_what_is_trained_starts_from_the_texts(trains: str, changes: str) -> None:
    trainer = Watching()
    method = learned(1, trainer, trains=trains)
    rows = 100 * class_texts(method.backbone.text, method.info.class_names[: method.head.classes], "a photo of a [].")
    held = trainer.starts[0]
    assert (trains == "backbone") != any(torch.equal(start, rows) for start in held if start.shape == rows.shape)
    assert len(held) == (trains != "backbone") + (trains != "head") * len([*method.backbone.model.parameters()])
    assert torch.equal(method.head.blocks[0].weight, rows) == (changes == "tower")
    assert method.backbone.is_pristine == (changes == "head")


def test_a_step_is_that_of_the_global_softmax_on_unit_vectors() -> None:
    trainer = Watching()
    method = learned(1, trainer, trains="all", lr=0.01, momentum=0.0)
    twin = tiny_clip()
    names = method.info.class_names[: method.head.classes]
    rows = (100 * class_texts(twin.text, names, "a photo of a [].")).requires_grad_(True)  # type: ignore[arg-type]
    tower = dict(twin.model.named_parameters())
    for parameter in tower.values():
        parameter.requires_grad_(True)
    for batch in trainer.batches[0]:
        held: list[Tensor] = [rows, *tower.values()]
        loss = F.cross_entropy(F.normalize(twin(batch.x), dim=-1) @ rows.T, batch.y)
        gradients = torch.autograd.grad(loss, held)
        with torch.no_grad():
            for value, gradient in zip(held, gradients, strict=True):
                value.sub_(0.01 * gradient)
    assert torch.allclose(method.head.blocks[0].weight, rows, atol=1e-4)
    for name, parameter in method.backbone.model.named_parameters():
        assert torch.allclose(parameter, tower[name], atol=1e-4), name


def test_momentum_interpolates_it(tmp_path: Path) -> None:
    options = {"base": "zero-shot", "base.trains": "all", "base.memory_size": 20, "base.epochs": 1, "tau": 0.9}
    bench = Workbench("momentum", options=options)
    method = bench.learner()
    record = bench.run(method, tmp_path)
    assert record["status"] == "complete" and method.backbone.text is not None
    assert method.steps > 0 and not method.base.backbone.is_pristine  # type: ignore[attr-defined]


def test_a_memory_without_training_and_a_backbone_without_text_are_refused() -> None:
    with pytest.raises(ValueError, match="memory_size=5 needs something to train; set trains=all"):
        ZeroShot.Options(memory_size=5)
    with pytest.raises(Incompatible, match="zero-shot needs a backbone with a text tower"):
        refuse("zero-shot", ZeroShot.Options(), tiny_stream(), text=False)
    needs = ZeroShot.needs(ZeroShot.Options(trains="all", loss="local"))
    assert needs.text and needs.compares and needs.batch_size == ZeroShot.Options().batch_size
    assert ZeroShot.needs(ZeroShot.Options(trains="head")).batch_size == 0
