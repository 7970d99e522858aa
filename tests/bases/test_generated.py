"""What hypernetworks have in common: the penalty, what stays of earlier tasks, answers, refusals."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cl.bases import generated
from cl.bases.generated import Earlier
from cl.errors import UsageError
from cl.random import Seeds
from cl.strategies.hypernetwork import Hypernetwork
from cl.strategy import adam
from cl.training.cost import count_flops
from cl.training.trainer import Trainer
from tests.conftest import run, tiny_stream
from tests.help.backbones import conv_backbone, flat_backbone

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {
    "epochs": 2,
    "batch_size": 6,
    "hidden": (6,),
    "embedding": 5,
    "chunk_embedding": 3,
    "chunk": 300,
}


def hypernetwork(draw: int = 0, **options: Any) -> Hypernetwork:
    return Hypernetwork(Hypernetwork.Options(**{**FAST, **options}), flat_backbone(draw), Trainer(seeds=Seeds()))


def pixels() -> Tensor:
    return torch.randint(256, (9, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))


def made(method: Hypernetwork, tasks: int) -> list[Tensor]:
    with torch.no_grad():
        return [method.generator(method.embeddings[task][0][None])[0] for task in range(tasks)]


def theta(method: Hypernetwork) -> list[Tensor]:
    return [each.detach().clone() for each in method.generator.parameters()]


def embedded(method: Hypernetwork) -> list[Tensor]:
    return [each.detach().clone() for each in method.embeddings.column(0)]


def penalties(method: Hypernetwork, then: Callable[..., None] | None = None) -> list[tuple[list[Tensor], list[Tensor]]]:
    """Gradients of what a step trains, before and after the penalty; `then(step, earlier, loss)` runs after it."""
    own, found = method._penalise, []

    def gradients() -> list[Tensor]:
        trained = [*method.generator.parameters(), method.embeddings[-1][0]]
        return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in trained]

    def noted(step: Any, earlier: Any, loss: Any) -> None:
        before = gradients()
        own(step, earlier, loss)
        found.append((before, gradients()))
        if then is not None:
            then(step, earlier, loss)

    vars(method)["_penalise"] = noted
    return found


def test_embeddings_of_earlier_tasks_stay_and_do_not_touch_each_other(learn: Learn) -> None:
    method = hypernetwork()
    found = learn(method, tiny_stream(), 3, lambda s, view: embedded(s))
    for task in (1, 2):
        assert all(torch.equal(one, two) for one, two in zip(found[task], found[task - 1], strict=False))
    before = made(method, 3)
    with torch.no_grad():
        method.embeddings[2][0].add_(1)
    after = made(method, 3)
    assert torch.equal(before[0], after[0]) and torch.equal(before[1], after[1])
    assert not torch.equal(before[2], after[2])


@pytest.mark.parametrize("targets", ["outputs", "weights"])
def test_the_penalty_is_zero_where_a_task_begins(targets: str, learn: Learn) -> None:
    method = hypernetwork(lookahead=False, beta=100.0, targets=targets)
    found = penalties(method)
    learn(method, tiny_stream(), 3)
    steps = [[not torch.equal(one, two) for one, two in zip(*each, strict=True)] for each in found]
    assert len(steps) == 2 * 2 * 4
    for number, changed in enumerate(steps):
        assert any(changed) == (number % 8 > 0), "no gradient in the first step of each task"
        assert not changed[-1], "the embedding of the task is not in the penalty"


def test_the_penalty_looks_one_step_ahead(learn: Learn) -> None:
    method = hypernetwork(beta=3.0, lr=0.02)
    checked: list[float] = []

    def compare(step: Any, earlier: Earlier, loss: Any) -> None:
        held, state = list(method.generator.parameters()), step.optimizer.state
        other = [torch.nn.Parameter(each.detach().clone()) for each in held]
        twin = adam(0.02)(other)
        for one, two, gradient in zip(held, other, found[-1][0], strict=False):
            if one in state:
                twin.state[two] = {key: value.clone() for key, value in state[one].items()}
            two.grad = gradient.clone()
        twin.step()
        names = [name for name, _ in method.generator.named_parameters()]
        outputs = torch.func.functional_call(
            method.generator, dict(zip(names, other, strict=True)), (earlier.embeddings,)
        )
        assert earlier.outputs is not None and earlier.copy is None
        value = 3.0 / len(earlier.embeddings) * (outputs - earlier.outputs).square().sum()
        wanted = torch.autograd.grad(value, other)
        for before, after, gradient in zip(*found[-1], wanted, strict=False):
            torch.testing.assert_close(after - before, gradient, rtol=1e-3, atol=1e-4)
        checked.append(float(value.detach()))

    found = penalties(method, compare)
    learn(method, tiny_stream(), 3)
    assert len(checked) == 16 and min(checked) > 1e-4, "not zero in the first step either"


def test_a_plain_loop_ends_in_the_same_numbers(learn: Learn) -> None:
    """Two tasks: rate, batches, steps, lookahead, fresh moments."""
    options: dict[str, Any] = {"lr": 0.01, "embedding_lr": 0.03, "beta": 0.5, "epochs": 3}
    method, batches = hypernetwork(**options), []
    own = method.loss_under

    def noted(flat: Tensor, x: Tensor, y: Tensor, task: int = -1) -> Tensor:
        batches.append((x.clone(), y.clone()))
        return own(flat, x, y, task)

    vars(method)["loss_under"] = noted
    start: list[Any] = []
    begin = method.begin

    def begun(view: Any) -> Any:
        earlier = begin(view)
        start.append((theta(method), embedded(method)))
        return earlier

    vars(method)["begin"] = begun
    found = learn(method, tiny_stream(), 2, lambda s, view: (theta(s), embedded(s)))
    steps = len(batches) // 2
    assert steps == 3 * 4 and all(len(y) == 6 for _, y in batches)
    net, names = method.generator, [name for name, _ in method.generator.named_parameters()]

    def generate(numbers: list[Tensor], embedding: Tensor) -> Tensor:
        return torch.func.functional_call(net, dict(zip(names, numbers, strict=True)), (embedding[None],))[0]

    for task in (0, 1):
        held = [each.clone().requires_grad_() for each in start[task][0]]
        embeddings = start[task][1]
        embedding = embeddings[task].clone().requires_grad_()
        with torch.no_grad():
            wanted = [generate(held, each) for each in embeddings[:task]]
        first = [torch.zeros_like(each) for each in (*held, embedding)]
        second = [torch.zeros_like(each) for each in first]
        for number, (x, y) in enumerate(batches[task * steps : (task + 1) * steps], 1):
            weights = method._layout.split(generate(held, embedding))
            features = torch.func.functional_call(method.backbone.model, weights.backbone, (x,))
            loss = F.cross_entropy(features @ weights.weight.T + weights.bias, y - 2 * task)
            gradients = list(torch.autograd.grad(loss, [*held, embedding]))

            def move(place: int, gradient: Tensor, state: Any = (first, second, number)) -> Any:
                m, v = 0.9 * state[0][place] + 0.1 * gradient, 0.999 * state[1][place] + 0.001 * gradient**2
                rate = 0.01 if place < len(names) else 0.03
                root = (v / (1 - 0.999 ** state[2])).sqrt() + 1e-8
                return -rate * m / (1 - 0.9 ** state[2]) / root, m, v

            if task:
                ahead = [
                    (each + move(place, gradient)[0]).detach().requires_grad_()
                    for place, (each, gradient) in enumerate(zip(held, gradients, strict=False))
                ]
                value = (
                    0.5 / task * sum((generate(ahead, embeddings[j]) - wanted[j]).square().sum() for j in range(task))
                )
                for place, gradient in enumerate(torch.autograd.grad(torch.as_tensor(value), ahead)):
                    gradients[place] = gradients[place] + gradient
            with torch.no_grad():
                for place, each in enumerate((*held, embedding)):
                    change, first[place], second[place] = move(place, gradients[place])
                    each.add_(change)
        for one, two in zip(held, found[task][0], strict=True):
            torch.testing.assert_close(one.detach(), two, rtol=1e-3, atol=2e-5)
        torch.testing.assert_close(embedding.detach(), found[task][1][task], rtol=1e-3, atol=2e-5)


def test_a_heavy_penalty_keeps_what_was_generated(learn: Learn) -> None:
    moved = []
    for beta in (0.0, 0.01, 1000.0):
        method = hypernetwork(beta=beta, epochs=6, lr=0.01)
        found = learn(method, tiny_stream(), 3, lambda s, view: made(s, view.task + 1))
        moved.append(float((found[2][0] - found[0][0]).norm() / found[0][0].norm()))
    assert moved[2] < 0.1 < moved[0] and moved[2] < moved[1] < moved[0]


def test_a_copy_of_the_generator_serves_as_well_as_what_it_generates(learn: Learn) -> None:
    ends, held = [], []
    for targets in ("outputs", "weights"):
        method = hypernetwork(targets=targets, beta=1.0)
        learn(method, tiny_stream(), 3)
        ends.append(theta(method))
        held.append(method.report()["held_bytes"])
    for one, two in zip(*ends, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)
    assert held == [4 * 2 * method._layout.size, 4 * method.generator.numbers]


def test_tasks_are_generated_in_parts_if_they_are_large(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    for at_once in (1 << 24, 2500):
        monkeypatch.setattr(generated, "AT_ONCE", at_once)
        method = hypernetwork(beta=1.0)
        learn(method, tiny_stream(), 3)
        assert method._at_once == max(1, at_once // 2447)
        ends.append(theta(method))
    for one, two in zip(*ends, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-6)


def test_some_earlier_tasks_are_drawn_in_every_step(learn: Learn) -> None:
    method, drawn = hypernetwork(penalised=1, beta=1.0), []
    penalty = Earlier.penalty

    def noted(self: Earlier, outputs: Tensor, tasks: Tensor) -> Tensor:
        drawn.append(tasks.tolist())
        return penalty(self, outputs, tasks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Earlier, "penalty", noted)
        learn(method, tiny_stream(), 3)
    assert drawn[:8] == [[0]] * 8 and {each[0] for each in drawn[8:]} == {0, 1}


def test_the_step_can_be_differentiated_too(learn: Learn) -> None:
    """Whole trainings with such steps are compared with official code in `tests/oracles`."""
    added = []
    for backprop in (False, True):
        method = hypernetwork(backprop=backprop, beta=2.0, epochs=1)
        found = penalties(method)
        learn(method, tiny_stream(), 2)
        added.append([after - before for before, after in zip(*found[0], strict=True)])
    assert not added[0][-1].any() and bool(added[1][-1].any()), "the step depends on the task's embedding"
    assert all(not torch.equal(one, two) for one, two in zip(*added, strict=True))


@pytest.mark.parametrize("backprop", [False, True])
def test_each_penalty_is_charged_what_it_costs(backprop: bool, learn: Learn) -> None:
    """With `backprop` the batch is passed once more, so that a smaller last batch costs less."""
    found: list[list[float]] = []
    for size in (5, 4):  # of 24 images: the last batch of the first has 4
        method, charged = hypernetwork(backprop=backprop, batch_size=size, epochs=1), list[float]()
        alike = method.alike

        def noted(key: Any, call: Any, method: Any = method, alike: Any = alike, charged: Any = charged) -> Any:
            before = method.flops
            result = alike(key, call)
            charged.append(method.flops - before)
            return result

        vars(method)["alike"] = noted
        learn(method, tiny_stream(), 2)
        found.append(charged[-5:])
    fives, fours = found
    assert fives[-1] == fours[0] and len(set(fours)) == len(set(fives[:-1])) == 1
    assert (fives[-1] < fives[0]) == backprop


def test_what_is_kept_of_earlier_tasks_is_charged(learn: Learn) -> None:
    method, stream = hypernetwork(), tiny_stream()
    learn(method, stream, 2)
    each = count_flops(lambda: method.generator(method.embeddings[0][0][None]))[1]
    method.trainer.journal.begin(2)
    before = method.flops
    method.begin(stream.view(2))
    assert method.flops - before == 2 * each > 0


def test_weights_are_generated_once_per_task_and_evaluation(tmp_path: Path) -> None:
    method = hypernetwork()
    calls: list[int] = []
    forward = type(method)._weights

    def noted(self: Hypernetwork, task: int) -> Any:
        own, before = self.generator, len(calls)
        hook = own.register_forward_hook(lambda *_: calls.append(task))
        try:
            found = forward(self, task)
        finally:
            hook.remove()
        assert len(calls) - before <= 1
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(method), "_weights", noted)
        patch.setattr("cl.running.evaluation.SMALL", 5)
        run(method, tiny_stream(), tmp_path)
    assert sorted(calls) == [0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4]


def test_generated_weights_are_bit_identical_and_follow_the_training(learn: Learn) -> None:
    method = hypernetwork()
    learn(method, tiny_stream(), 2)
    first, second = method._weights(0), method._weights(1)
    assert method._weights(0)[0] is first[0] and method._weights(1)[0] is second[0]
    method._made.clear()
    again = method._weights(0)
    assert again[0] is not first[0] and again[0].key == first[0].key != second[0].key
    assert torch.equal(again[1].weight, first[1].weight)
    with torch.no_grad():
        next(method.generator.parameters()).add_(0.1)
    assert method._weights(0)[0].key != first[0].key


def test_the_told_task_answers_and_otherwise_the_surest_one(learn: Learn) -> None:
    method = hypernetwork(epochs=6)
    learn(method, tiny_stream(), 3)
    images = pixels()
    each = [method.predict_images(images, task) for task in range(3)]
    for task, scores in enumerate(each):
        assert scores.shape == (9, 6) and bool(scores[:, 2 * task : 2 * task + 2].isfinite().all())
        weights = method._weights(task)[1]
        with torch.no_grad():
            x = method.backbone.transform(images)
            features = torch.func.functional_call(method.backbone.model, weights.backbone, (x,))
            wanted = features @ weights.weight.T + weights.bias
        torch.testing.assert_close(scores[:, 2 * task : 2 * task + 2], wanted)
        others = [c for c in range(6) if c // 2 != task]
        assert bool(scores[:, others].isinf().all())
    assert torch.equal(method.predict_images(images, 3), torch.zeros(9, 6))
    surest = method.predict_images(images)
    for row in range(9):
        entropies = [-(p := s[row].softmax(0).clamp(min=1e-30)).mul(p.log()).sum() for s in each]
        assert torch.equal(surest[row], each[int(torch.stack(entropies).argmin())][row])


def test_the_backbone_itself_is_neither_trained_nor_used(learn: Learn) -> None:
    method = hypernetwork(init="xavier")
    learn(method, tiny_stream(), 2)
    assert method.backbone.is_pristine
    other = hypernetwork(draw=1, init="xavier")
    learn(other, tiny_stream(), 2)
    assert torch.equal(method.predict_images(pixels(), 0), other.predict_images(pixels(), 0))
    total = method.report()
    assert total["generator"] == method.generator.numbers + 2 * 5 and total["generated"] == 2447
    assert total["ratio"] == total["generator"] / 2447 and method.stored()["parameters"] == 4 * total["generator"]
    assert method.stored()["samples"] == method.stored()["statistics"] == 0


@pytest.mark.parametrize("ratio", [0.3, 1.0])
def test_the_ratio_is_that_of_all_tasks(ratio: float, learn: Learn) -> None:
    method = hypernetwork(chunk=0, ratio=ratio, epochs=1)
    learn(method, tiny_stream(), 5)
    assert ratio - 0.02 < method.report()["ratio"] <= ratio


def test_what_cannot_be_generated_is_refused_before_training() -> None:
    info = tiny_stream().info
    refused: dict[str, dict[str, Any]] = {
        r"2,447 weights of flat and its head would be generated .* the limit is 2,000; "
        r"choose a network of at most 2,000 weights with its head, or set limit=2447\.$": {"limit": 2000},
        r"no chunk is small enough for a hypernetwork of 0 numbers .* raise ratio": {"chunk": 0, "ratio": 0.001},
        r"chunk=2448 is more than the 2,447 weights of flat and its head; choose at most chunk=2447": {"chunk": 2448},
        r"lookahead is off; set lookahead=true or backprop=false": {"lookahead": False, "backprop": True},
    }
    for words, options in refused.items():
        with pytest.raises(UsageError, match=words):
            hypernetwork(**options).setup(info)
    with pytest.raises(UsageError, match="net has batch norms"):
        Hypernetwork(Hypernetwork.Options(**FAST), conv_backbone(), Trainer(seeds=Seeds())).setup(info)


def test_tasks_of_unequal_size_share_the_rows_of_a_head(learn: Learn) -> None:
    stream = tiny_stream()
    method, wider = hypernetwork(), dataclasses.replace(stream.info, classes_per_task=(3, 2, 2, 2, 1))
    method.info = wider
    method.setup(wider)
    assert method._layout.head[0] == (3, 7)
    method.trainer.journal.begin(0)
    method.learn(stream.view(0))
    assert method.predict_images(pixels(), 0).shape == (9, 2)
