"""BiC: images held out, the line of a task, and corrected logits in training, teaching and prediction."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.strategies.bic import BiC
from cl.testing import check_strategy, tiny_backbone
from cl.training.batches import Batch
from tests.conftest import make, tiny_stream
from tests.help.exemplars import FAST, Learn, distilled, ends_like_a_plain_loop, learner
from tests.help.plain_loops import Tensors, logits


@pytest.mark.slow
def test_it_keeps_the_contract() -> None:
    check_strategy("bic", options={"memory_size": 30, "bias_epochs": 3})


def test_three_tasks_end_like_a_plain_loop(learn: Learn) -> None:
    """Lines of earlier tasks are in the logits of the student and of the teacher."""
    model, method = tiny_backbone().model, learner(BiC, memory_size=40, bias_epochs=20, bias_lr=0.05)

    def loss(task: int, teacher: Tensors | None, old: int) -> Any:
        lines = method.lines.clone()
        lines[task] = torch.tensor([1.0, 0.0])  # its line is fitted later

        def corrected(values: Tensor) -> Tensor:
            alpha, beta = lines.repeat_interleave(2, 0)[: values.shape[1]].T
            return alpha * values + beta

        def value(held: Tensors, batch: Batch) -> Tensor:
            z = corrected(logits(model, held, batch.x))
            if teacher is None:
                return F.cross_entropy(z, batch.y)
            share = old / z.shape[1]
            taught = corrected(logits(model, teacher, batch.x)).detach()
            return (1 - share) * F.cross_entropy(z, batch.y) + share * distilled(z, taught)

        return value

    ends_like_a_plain_loop(method, learn, loss)
    assert (method.lines[1:3, 0] - 1).abs().min() > 1e-3 and method.lines[0].tolist() == [1.0, 0.0]


def test_the_line_is_fitted_on_images_that_did_not_train(learn: Learn) -> None:
    method = learner(BiC, memory_size=40, augment="none", epochs=1, bias_epochs=15, bias_lr=0.01, held_out=0.2)
    learn(method, tiny_stream(), 1)
    before, view = method.memory.pixels.clone(), tiny_stream().view(1)
    learned: list[Tensor] = []

    def after(learner: Any, view: Any) -> None:
        learned.append(learner.lines.clone())

    method.trainer.journal.begin(1)
    method.learn(view)
    after(method, view)
    trained = torch.cat([batch.y for batch in method.trainer.batches[1, "train"]])
    fitted = torch.cat([batch.y for batch in method.trainer.batches[1, "line"]][:1])
    # 24 exemplars of two classes, a fifth of 12 each held out
    assert trained.bincount().tolist() == [10, 10, 10, 10] and fitted.bincount().tolist() == [2, 2, 2, 2]
    seen = {tuple(x.flatten().tolist()) for batch in method.trainer.batches[1, "train"] for x in batch.x}
    everything = torch.cat([before, view.train.pixels(slice(None))])
    left = [x for x in method.backbone.transform(everything) if tuple(x.flatten().tolist()) not in seen]
    assert len(left) == 8
    # Adam on alpha and beta, by hand
    (batch, *_) = method.trainer.batches[1, "line"]
    line = torch.tensor([1.0, 0.0], requires_grad=True)
    adam = torch.optim.Adam([line], lr=0.01)
    for _ in range(15):
        new = line[0] * batch.x[:, 2:] + line[1]
        adam.zero_grad()
        F.cross_entropy(torch.cat([batch.x[:, :2], new], 1), batch.y).backward()
        adam.step()
    assert torch.allclose(learned[0][1], line.detach(), atol=1e-5)


def test_answers_are_corrected(learn: Learn) -> None:
    method = make(BiC, **FAST, memory_size=40, bias_epochs=5)
    learn(method, tiny_stream(), 2)
    method.lines[1] = torch.tensor([0.5, -1.0])
    pixels = torch.from_numpy(tiny_stream().dataset.test.pixels[:5].copy()).permute(0, 3, 1, 2)
    with torch.no_grad():
        plain = method.head(method.backbone(method.backbone.transform(pixels)))
    assert torch.allclose(method.predict_images(pixels)[:, 2:], plain[:, 2:] * 0.5 - 1, atol=1e-5)


@pytest.mark.parametrize("options", [{"memory_size": 1}, {"memory_size": 3}, {"memory_per_class": 1}])
def test_without_enough_exemplars_the_line_stays(options: dict[str, Any], learn: Learn) -> None:
    method = make(BiC, **FAST, **options)
    learn(method, tiny_stream(), 3)
    if options != {"memory_size": 3}:
        assert method.lines.tolist() == [[1.0, 0.0]] * 5
