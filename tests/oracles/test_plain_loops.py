"""Methods without an oracle against plain training loops, written from the papers' formulas.

L2, experience replay, momentum interpolation, SoftNet's later sessions, and the four baselines of NEVIS'22.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from cl.bases.network_per_task import NetworkPerTask
from cl.strategies.finetune_dynamic import FinetuneDynamic
from cl.strategies.finetune_previous import FinetunePrevious
from cl.strategies.independent import Independent
from cl.strategies.l2 import L2
from cl.strategies.momentum import Momentum
from cl.strategies.pretrained import Pretrained
from cl.strategies.replay import Replay
from cl.strategies.softnet import SoftNet
from cl.training.batches import Batch
from cl.training.optim import When
from tests.conftest import tiny_backbone, tiny_stream
from tests.help.network_per_task import stream as validated
from tests.help.plain_loops import Keeping, Tensors, close, descend, logits, weights

Learn = Callable[..., list[Any]]
LR, MOMENTUM, DECAY = 0.02, 0.9, 0.01
FAST: dict[str, Any] = {
    **{"epochs": 2, "batch_size": 16, "lr": LR, "momentum": MOMENTUM, "weight_decay": DECAY, "augment": "crop-flip"},
    **{"optimizer": "sgd", "schedule": "multistep", "milestones": (1,), "gamma": 0.3},
}
SHARED: dict[str, Any] = {"momentum": MOMENTUM, "decay": lambda name: DECAY}


def stepped(batches: list[Batch]) -> Callable[[int], float]:
    """The rate of `FAST`: 0.3 of it in the second epoch."""
    return lambda step: LR * (1.0 if step < len(batches) // 2 else 0.3)


def learner(cls: type[Any], **options: Any) -> Any:
    """A learner on the tiny backbone without dropout."""
    backbone = tiny_backbone()
    for module in backbone.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return cls(cls.Options(**options), backbone, Keeping())


def local(classes: tuple[int, ...], values: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy over the columns of a task's classes, which are the last."""
    return F.cross_entropy(values[:, list(classes)], y - classes[0])


@pytest.mark.parametrize("anchor", ["previous", "initial", "learned"])
def test_l2_is_fine_tuning_with_the_squared_distance_from_the_anchor(anchor: str, learn: Learn) -> None:
    reg, method = 0.3, learner(L2, **FAST, reg=0.3, anchor=anchor)
    model, centre = tiny_backbone().model, weights_of(tiny_backbone())
    plain: Tensors = {}
    ends = learn(method, tiny_stream(), 3, lambda s, view: (weights(s), view.classes))
    for task, (end, classes) in enumerate(ends):
        batches, start = (of[task, "train"] for of in (method.trainer.batches, method.trainer.starts))
        start = {**start, **network(plain)}
        around = None if anchor == "learned" and task == 0 else centre

        def loss(held: Tensors, batch: Batch, around: Any = around, classes: Any = classes) -> Tensor:
            value = local(classes, logits(model, held, batch.x), batch.y)
            if around is None:
                return value
            return value + reg * sum(((held[name] - at) ** 2).sum() for name, at in around.items())

        plain = descend(start, batches, loss, stepped(batches), **SHARED)
        close(end, plain)
        if anchor != "initial":
            centre = network(plain)


def weights_of(backbone: Any) -> Tensors:
    return {name: parameter.detach().clone() for name, parameter in backbone.model.named_parameters()}


def test_replay_is_cross_entropy_on_new_and_remembered_images(learn: Learn) -> None:
    method, model = learner(Replay, **FAST, memory_size=12, replay_batch_size=5), tiny_backbone().model
    ends = learn(method, tiny_stream(), 3, lambda s, view: (weights(s), view.classes))
    for task, (end, classes) in enumerate(ends):
        batches = method.trainer.batches[task, "train"]
        for batch in batches:
            new = torch.isin(batch.y, torch.tensor(classes))
            assert int((~new).sum()) == (5 if task else 0) and bool((batch.y[~new] < min(classes)).all())

        def loss(held: Tensors, batch: Batch) -> Tensor:
            return F.cross_entropy(logits(model, held, batch.x), batch.y)

        plain = descend(method.trainer.starts[task, "train"], batches, loss, stepped(batches), **SHARED)
        close(end, plain)


@pytest.mark.parametrize("base", ["finetune", "replay"])
@pytest.mark.parametrize("every", [1, 3])
def test_momentum_predicts_with_slow_weights(base: str, every: int, learn: Learn) -> None:
    """theta_slow <- tau theta_slow + (1 - tau) theta_fast every r steps; the base trains the fast weights alone."""
    tau, own = 0.8, {**FAST, "memory_size": 12} if base == "replay" else FAST
    mode = {"mode": "per_iteration"} if every == 1 else {"mode": "per_k", "every": every}
    method = learner(Momentum, tau=tau, base=base, base_options={**own, "loss": "global"}, **mode)
    model, stream = tiny_backbone().model, tiny_stream()
    pixels = stream.view(0).train.pixels(slice(None, 8))
    ends = learn(method, stream, 3, lambda s, view: (weights(s.base), s.predict_images(pixels)))
    slow: Tensors = {}
    steps = 0
    for task, (end, predicted) in enumerate(ends):
        batches, start = (of[task, "train"] for of in (method.trainer.batches, method.trainer.starts))
        for name, value in start.items():  # rows of new classes begin with the fast ones
            old = slow.get(name, value[:0] if name.startswith("head_") else value)
            slow[name] = torch.cat([old, value[len(old) :]]) if name.startswith("head_") else old

        def interpolate(step: int, fast: Tensors) -> None:
            nonlocal steps
            steps += 1
            if steps % every == 0:
                for name, value in fast.items():
                    slow[name] = tau * slow[name] + (1 - tau) * value

        def loss(held: Tensors, batch: Batch) -> Tensor:
            return F.cross_entropy(logits(model, held, batch.x), batch.y)

        close(end, descend(start, batches, loss, stepped(batches), **SHARED, after=interpolate))
        with torch.no_grad():
            expected = logits(model, slow, method.backbone.transform(pixels))
        torch.testing.assert_close(predicted, expected, rtol=1e-4, atol=1e-4)


# ---------------------------------------------------------------------------------------------------------- SoftNet


def test_softnet_trains_the_minor_weights_of_one_block_in_later_sessions(learn: Learn) -> None:
    """theta <- theta - b (dL/dtheta * m_minor); L sums -log softmax(-d) over images, d the cosine distance."""
    options: dict[str, Any] = {"share": 0.6, "epochs": 1, "batch_size": 36, "lr": 0.01, "milestones": ()}
    options |= {"session_lr": 0.05, "session_epochs": 3, "momentum": 0.8, "weight_decay": 0.03, "augment": "none"}
    method = learner(SoftNet, **options, exemplars=2, temperature=0.5)
    stream = tiny_stream(shots=3, increment=2, test_per_class=2)
    ends = learn(method, stream, 3, lambda s, view: [weight.detach().clone() for weight in s._weights])
    model, masks = method.backbone.model, dict(zip(method._names, method.masks.values, strict=True))
    late = [method._names[i] for i in method._late]
    held = dict(zip(method._names, ends[0], strict=True))
    for task in (1, 2):
        batches, old = method.trainer.batches[task, "few shots"], method.prototypes[: 4 + 2 * task]
        others = {name: value for name, value in held.items() if name not in late}
        start = {name: held[name] for name in late}
        assert [len(batch) for batch in batches] == [6 + 4 * (task - 1)] * 3, "all new images and the exemplars"

        def loss(trained: Tensors, batch: Batch, old: Tensor = old, others: Tensors = others) -> Tensor:
            effective = {name: value * masks[name] for name, value in {**others, **trained}.items()}
            features = functional_call(model, effective, (batch.x,))
            new = [features[batch.y == c].mean(0) for c in (len(old), len(old) + 1)]
            distances = 1 - F.cosine_similarity(features[:, None], torch.stack([*old, *new]), dim=2)
            return -(-distances / 0.5).log_softmax(1)[torch.arange(len(batch)), batch.y].sum()

        def keep_major(step: int, trained: Tensors, start: Tensors = start) -> None:
            for name, value in start.items():
                trained[name] = torch.where(masks[name] == 1, value, trained[name])

        plain = descend(
            start, batches, loss, lambda step: 0.05, momentum=0.8, decay=lambda name: 0.03, after=keep_major
        )  # fmt: skip
        assert all(bool(((value != start[name]) == (masks[name] < 1)).all()) for name, value in plain.items())
        held = {**others, **plain}
        close(dict(zip(method._names, ends[task], strict=True)), held)


# ---------------------------------------------------------------------------------------------------------- NEVIS'22

STEPS, ROUND = 10, 4
NEVIS: dict[str, Any] = {
    **{"trials": 2, "steps": STEPS, "validate_every": ROUND, "batch_size": 8, "batch_share": 0.0, "augment": "none"},
    **{"lr_min": 0.01, "lr_max": 0.1, "momentum": 0.9, "weight_decay": 0.05},
}


def warm_cosine(warmup: int) -> Callable[[int], float]:
    """A rate that grows from 0 over `warmup` steps, then half a cosine; a share of the highest."""
    return lambda k: k / warmup if k < warmup else (1 + math.cos(math.pi * (k - warmup) / (STEPS - warmup))) / 2


WARMUPS: dict[str, tuple[dict[str, Any], int | None]] = {
    "epochs": ({"warmup_epochs": 1.0}, None),
    "share": ({"warmup_epochs": 9.0, "warmup_share": 0.3}, 3),
    "all but a step": ({"warmup_epochs": 9.0}, STEPS - 1),
}
"""Options, and the steps of the warm-up; None: those of an epoch."""

CASES = [
    (Independent, "epochs"),
    (FinetunePrevious, "share"),
    (FinetuneDynamic, "all but a step"),
    (Pretrained, "share"),
]


@pytest.mark.parametrize(("cls", "bound"), CASES)
def test_a_network_per_task_is_the_best_of_its_trials(cls: type[NetworkPerTask], bound: str, learn: Learn) -> None:
    options, warmup = WARMUPS[bound]
    method, stream, model = learner(cls, **NEVIS, **options), validated(), copy.deepcopy(tiny_backbone().model)
    if cls is Pretrained:
        assert method.options.start == "pretrained"
    sets, epochs = [], []

    def after(strategy: Any, view: Any) -> Tensors:
        x = strategy.backbone.transform(view.val.pixels(slice(None)))
        sets.append((x, view.val.labels - min(view.classes), min(view.classes)))
        epochs.append(math.ceil(len(view.train) / 8))
        return weights(strategy)

    ends = learn(method, stream, 3, after)
    kept: list[Tensors] = []
    sources = {Independent: (-1, -1, -1), FinetunePrevious: (-1, 0, 1), Pretrained: (-1, -1, -1)}
    for task, end in enumerate(ends):
        entry, best, scores = method.history[task], Best(model, *sets[task]), []
        source = sources[cls][task] if cls in sources else entry["source"]
        assert entry["source"] == source
        for number, trial in enumerate(entry["trials"]):
            key = task, f"trial {number}"
            if source >= 0:
                close(network(method.trainer.starts[key]), network(kept[source]))
            scores.append(plain_trial(method.trainer, key, trial, best, warm_cosine(warmup or epochs[task])))
        assert [trial["score"] for trial in entry["trials"]] == pytest.approx(scores)
        close(end, best.held, atol=1e-4)
        kept.append(best.held)


def network(held: Tensors) -> Tensors:
    return {name: value for name, value in held.items() if not name.startswith("head_")}


class Best:
    """The weights with the best validation accuracy of all trials of a task, and the best of a trial."""

    def __init__(self, model: nn.Module, x: Tensor, y: Tensor, first: int) -> None:
        self.model, self.x, self.y, self.first = model, x, y, first
        self.score, self.of_trial = -1.0, -1.0
        self.held: Tensors = {}

    def validate(self, step: int, held: Tensors) -> None:
        if (step + 1) % ROUND and step + 1 != STEPS:
            return
        with torch.no_grad():
            score = float((logits(self.model, held, self.x).argmax(1) == self.y).float().mean())
        self.of_trial = max(self.of_trial, score)
        if score > self.score:
            self.score, self.held = score, {name: value.clone() for name, value in held.items()}


def plain_trial(
    trainer: Keeping, key: tuple[int, str], trial: dict[str, float], best: Best, rate: Callable[[int], float]
) -> float:
    """One trial: SGD with Nesterov momentum, decay of matrices and kernels; returns its best validation accuracy."""
    start, batches = trainer.starts[key], trainer.batches[key]
    assert len(batches) == STEPS
    best.of_trial = -1.0

    def loss(held: Tensors, batch: Batch) -> Tensor:
        values = logits(best.model, held, batch.x)
        return F.cross_entropy(values, batch.y - best.first, label_smoothing=trial["label_smoothing"])

    def decay(name: str) -> float:
        return 0.05 if name.endswith("weight") and start[name].ndim > 1 else 0.0

    descend(
        start, batches, loss, lambda step: trial["lr"] * rate(step), momentum=0.9, decay=decay, nesterov=True,
        after=best.validate,
    )  # fmt: skip
    return best.of_trial


def test_rates_of_trials_are_log_uniform_and_their_smoothing_is_uniform() -> None:
    method = learner(Independent, trials=900, lr_min=1e-4, lr_max=1e-1, smoothing_max=0.3)
    drawn = method._draw()
    tens = torch.tensor([math.log10(trial["lr"]) for trial in drawn])
    shares = torch.histc(tens, bins=3, min=-4, max=-1) / 900
    assert float((shares - 1 / 3).abs().max()) < 0.06, "a third of the rates in each decade"
    smoothing = torch.tensor([trial["label_smoothing"] for trial in drawn])
    assert float((torch.histc(smoothing, bins=3, min=0, max=0.3) / 900 - 1 / 3).abs().max()) < 0.06


def test_the_rate_ends_near_1e_8() -> None:
    method = learner(Independent, **NEVIS)
    method.info = validated().info
    method.setup(method.info)
    caught: dict[str, Any] = {}
    vars(method)["fit"] = lambda *given, **named: caught.update(named) or {"best_score": 0.0, "flops": 0.0}
    view = validated().view(0)
    method.head.add(view.classes, torch.Generator().manual_seed(0))
    method.trainer.journal.begin(0)
    method._train(view, view.val, 0, lr=0.05, label_smoothing=0.1)
    final = caught["schedule"](When(0, STEPS, 1, STEPS))
    assert 0.05 * final == pytest.approx(1e-8)
