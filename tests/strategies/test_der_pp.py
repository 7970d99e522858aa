"""DER and DER++: their losses step for step, and the logits that are kept."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.strategies.der_pp import DerPP
from cl.strategies.finetune import Finetune
from cl.testing import check_strategy, tiny_backbone
from cl.training.batches import Batch
from tests.conftest import make, tiny_stream
from tests.help.exemplars import DECAY, MOMENTUM, Learn, learner, stepped
from tests.help.plain_loops import Tensors, close, descend, logits, weights


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"trains": "head", "augment": "none", "beta": 0.0}], ids=["all", "head"])
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    check_strategy("der-pp", options={"memory_size": 20, **options})


@pytest.mark.parametrize("outputs", ["all", "seen"])
@pytest.mark.parametrize(("alpha", "beta"), [(0.7, 0.0), (0.4, 0.9)], ids=["der", "der++"])
def test_two_tasks_end_like_a_plain_loop(alpha: float, beta: float, outputs: str, learn: Learn) -> None:
    model = tiny_backbone().model
    method = learner(DerPP, memory_size=20, alpha=alpha, beta=beta, outputs=outputs)
    read, order = method.logits_kept, list[Tensor]()

    def logits_kept(part: Batch) -> Tensor:
        order.append(read(part))
        return order[-1]

    method.logits_kept = logits_kept
    found = learn(method, tiny_stream(), 2, lambda s, view: (weights(s), len(order)))
    first = 0
    for task, (ours, last) in enumerate(found):
        batches, start = (of[task, "train"] for of in (method.trainer.batches, method.trainer.starts))
        given = iter(order[first:last])
        draws = 1 + (beta > 0)

        alone = batches[0] if task == 0 else None  # nothing is remembered before the first step

        def loss(
            held: Tensors, batch: Batch, given: Any = given, alone: Batch | None = alone, draws: int = draws
        ) -> Tensor:
            z = logits(model, held, batch.x)
            if batch is alone:
                return F.cross_entropy(z, batch.y)
            new = len(batch) // (1 + draws)
            value = F.cross_entropy(z[:new], batch.y[:new])
            target = next(given)
            known = ~target.isnan()
            assert outputs == "seen" or bool(known.all())
            value = value + alpha * ((z[new : 2 * new] - target)[known] ** 2).mean()
            return value + beta * F.cross_entropy(z[2 * new :], batch.y[2 * new :]) if beta else value

        assert last - first == len(batches) - (task == 0)
        plain = descend(start, batches, loss, stepped(batches), momentum=MOMENTUM, decay=lambda name: DECAY)
        close(ours, plain)
        first = last


@pytest.mark.parametrize("outputs", ["all", "seen"])
def test_kept_logits_of_later_classes(outputs: str, learn: Learn) -> None:
    """As in DER's code an image keeps the logits of classes to come, so a later task may not raise them."""
    method = learner(DerPP, memory_size=20, outputs=outputs)
    count = tiny_stream().info.n_classes
    (kept, seen), *_ = learn(method, tiny_stream(), 1, lambda s, view: (s.memory.values.clone(), len(view.seen)))
    known = (~kept.isnan()).sum(1)
    assert seen < count and known.tolist() == [count if outputs == "all" else seen] * 20
    if outputs == "all":
        assert kept[:, :seen].mean() > kept[:, seen:].mean() + 0.1, "no image is of a class to come"
    pixels = torch.zeros(3, *method.memory.pixels.shape[1:], dtype=torch.uint8)
    assert method.predict_images(pixels).shape == (3, seen), "no answer is a class to come"


def test_columns_that_did_not_exist_are_not_distilled() -> None:
    """Logits of two classes were kept; the head has four."""
    method = make(DerPP, trains="head", augment="none", alpha=1.0, beta=0.0, memory_size=4)
    method.info = tiny_stream().info
    method.setup(method.info)
    method._width = 0
    method.head.grow_to(4, torch.Generator())
    kept = torch.full((4, 10), torch.nan)
    kept[:, :2] = torch.tensor([[1.0, -1.0]])
    method.memory.values, method.memory.labels = kept, torch.zeros(4, dtype=torch.long)
    x = torch.randn(8, method.backbone.dim, generator=torch.Generator().manual_seed(0))
    batch = Batch(x, torch.tensor([2, 3, 2, 3, 0, 0, 0, 0]), torch.tensor([0, 1, 2, 3, -4, -3, -2, -1]))
    z = method.head(x)
    expected = F.cross_entropy(z[:4], batch.y[:4]) + ((z[4:, :2] - kept[:, :2]) ** 2).mean()
    assert torch.allclose(method.objective(batch, (2, 3)), expected)
    method.memory.values = torch.full((4, 10), torch.nan)
    assert torch.allclose(method.objective(batch, (2, 3)), F.cross_entropy(z[:4], batch.y[:4])), "none were kept"


def test_without_weights_it_is_fine_tuning_on_new_images(learn: Learn) -> None:
    ours, plain = learner(DerPP, alpha=0.0, beta=0.0, outputs="seen"), learner(Finetune, loss="global")
    for method in (ours, plain):
        learn(method, tiny_stream(), 2)
    close(weights(ours), weights(plain))
