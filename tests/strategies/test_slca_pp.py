"""SLCA++ against a plain loop with the authors' steps, and its presets against their configurations."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from cl.plan.plan import make_plan
from cl.strategies.slca_pp import AgedFeatures, SLCAPlusPlus
from cl.training import state
from tests.conftest import make, tiny_stream
from tests.help.oracles import Features, Oracle, features, replay, rows

RATES: dict[str, Any] = {
    "lr": 0.05,
    "backbone_lr_scale": 0.1,
    "first_lora_scale": 0.5,
    "min_lr": 0.002,
    "momentum": 0.9,
}
LOSS: dict[str, Any] = {"weight_decay": 0.05, "rank": 2, "lora_scale": 0.8, "ce": 0.7, "reverse_ce": 0.3}
ALIGN: dict[str, Any] = {"ca_epochs": 3, "ca_samples": 12, "ca_lr": 0.02, "logit_norm": 0.1}
ORACLE = Oracle("train-slca-b")  # its network, images and batches
FAST: dict[str, Any] = {
    "epochs": 1, "batch_size": 16, "augment": "none", "ca_epochs": 1, "ca_samples": 16, "rank": 2,
}  # fmt: skip


class Product(nn.Module):
    """A weight plus the scaled product of two matrices, for `torch.nn.utils.parametrize`."""

    def __init__(self, weight: Tensor, a: Tensor, scale: float) -> None:
        super().__init__()
        self.lora_a, self.lora_b = nn.Parameter(a.clone()), nn.Parameter(weight.new_zeros(len(weight), len(a)))
        self.scale = scale

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.scale * self.lora_b @ self.lora_a


def by_hand(start: SLCAPlusPlus, heads: list[tuple[Tensor, Tensor]], epochs: int) -> tuple[nn.Module, list[Any]]:
    """The slow learning of two tasks, with PyTorch's optimiser and schedule; returns the network and its heads."""
    model: Any = copy.deepcopy(start.backbone.model).requires_grad_(False)
    for name, a in zip(start.lora.names, start.lora.a, strict=True):
        layer = model.get_submodule(name)
        parametrize.register_parametrization(layer, "weight", Product(layer.weight, a.detach(), LOSS["lora_scale"]))
    for name, value in model.named_parameters():
        value.requires_grad_("lora" in name or "norm" in name or "bias" in name or "cls_token" in name)
    trained = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
    lora, other = [v for n, v in trained if "lora" in n], [v for n, v in trained if "lora" not in n]
    first = 0
    for task, (weight, bias) in enumerate(heads):
        weight.requires_grad_()
        bias.requires_grad_()
        scale = RATES["first_lora_scale"] if task == 0 else RATES["backbone_lr_scale"]
        optimizer = torch.optim.SGD(
            [
                {"params": lora, "lr": RATES["lr"] * scale},
                {"params": other, "lr": RATES["lr"] * RATES["backbone_lr_scale"]},
                {"params": [weight, bias], "lr": RATES["lr"]},
            ],
            momentum=RATES["momentum"],
            weight_decay=LOSS["weight_decay"],
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs, eta_min=RATES["min_lr"])
        images, labels = ORACLE.images(f"pixels/{task}"), ORACLE.tensor(f"labels/{task}") - first
        for epoch in ORACLE.tensor(f"batches/{task}").chunk(epochs):
            for batch in epoch:
                logits, y = model(images[batch]) @ weight.T + bias, labels[batch]
                target = torch.full_like(logits, 1e-4)
                target[torch.arange(len(y)), y] = 1
                reverse = -(logits.softmax(1).clamp(min=1e-7) * target.log()).sum(1).mean()
                optimizer.zero_grad()
                (LOSS["ce"] * F.cross_entropy(logits, y) + LOSS["reverse_ce"] * reverse).backward()
                optimizer.step()
            schedule.step()
        first += len(weight)
    return model, heads


def test_slow_learning_ends_in_the_weights_of_a_plain_loop() -> None:
    epochs = 3
    found: dict[str, Any] = {}
    learners: list[SLCAPlusPlus] = []
    heads: list[tuple[Tensor, Tensor]] = []

    def before(learner: Any, task: int) -> None:
        if task == 0:
            start = copy.copy(learner)
            start.backbone, start.lora = copy.deepcopy(learner.backbone), copy.deepcopy(learner.lora)
            learners.append(start)

    def begin(learner: Any, task: int, phase: str) -> None:
        if phase == "slow learning" and task < 2:
            block = learner.heads.blocks[-1]
            heads.append((block.weight.clone(), block.bias.clone()))

    def after(learner: Any, task: int) -> None:
        if task == 1:
            found["model"] = state.clone(dict(learner.backbone.model.state_dict()))
            found["lora"] = copy.deepcopy(learner.lora)
            found["heads"] = state.clone(learner.heads.get_state())

    given = {"slow learning": rows(ORACLE), "classifier alignment": features(ORACLE)}
    replay(
        SLCAPlusPlus, ORACLE, given, before=before, begin=begin, after=after, epochs=epochs, batch_size=4,
        augment="none", **RATES, **LOSS, **ALIGN,
    )  # fmt: skip
    model, ended = by_hand(learners[0], heads, epochs)
    plain = dict(model.named_parameters())
    compared = 0
    for name, value in found["model"].items():
        other = plain.get(name)
        if other is None:  # the weight of a layer with LoRA, which does not change
            layer, _, kind = name.rpartition(".")
            other = plain[f"{layer}.parametrizations.{kind}.original"]
        assert torch.allclose(value, other, atol=1e-5), name
        compared += 1
    for number, name in enumerate(found["lora"].names):
        part = f"{name}.parametrizations.weight.0"
        assert torch.allclose(found["lora"].a[number], plain[f"{part}.lora_a"], atol=1e-5)
        assert torch.allclose(found["lora"].b[number], plain[f"{part}.lora_b"], atol=1e-5)
        assert found["lora"].b[number].abs().max() > 1e-3
    for task, (weight, bias) in enumerate(ended):
        assert torch.allclose(found["heads"]["weights"][task], weight, atol=1e-5)
        assert torch.allclose(found["heads"]["biases"][task], bias, atol=1e-5)
    assert compared == len(found["model"])


def test_alignment_trains_all_heads_at_its_own_rate_with_cosine_and_decay() -> None:
    task = 2
    found: dict[int, Any] = {}

    def after(learner: Any, at: int) -> None:
        found.setdefault(at, (copy.deepcopy(learner.heads), copy.deepcopy(learner.aligned)))

    given = {"slow learning": rows(ORACLE), "classifier alignment": features(ORACLE)}
    replay(SLCAPlusPlus, ORACLE, given, after=after, epochs=3, batch_size=4, augment="none", **RATES, **LOSS, **ALIGN)
    heads, aligned = found[task]
    heads.requires_grad_(True)
    optimizer = torch.optim.SGD(
        heads.parameters(), ALIGN["ca_lr"], RATES["momentum"], weight_decay=LOSS["weight_decay"]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, ALIGN["ca_epochs"])
    x, y = (ORACLE.tensor(f"align/{task}/{kind}").chunk(ALIGN["ca_epochs"]) for kind in ("x", "y"))
    for batches, labels in zip(x, y, strict=True):
        for drawn, classes in zip(batches, labels, strict=True):
            blocks = [block(drawn) for block in heads.blocks]
            norms = torch.stack([block.norm(dim=1) for block in blocks]).mean(0)
            optimizer.zero_grad()
            F.cross_entropy(torch.cat(blocks, 1) / norms[:, None] / ALIGN["logit_norm"], classes).backward()
            optimizer.step()
        schedule.step()
    for one, two in zip(heads.parameters(), aligned.parameters(), strict=True):
        assert torch.allclose(one, two, atol=1e-4)


def test_only_light_parameters_of_the_backbone_train(learn: Any) -> None:
    learner = make(SLCAPlusPlus, **FAST, lr=0.5)
    before = {name: value.clone() for name, value in learner.backbone.model.named_parameters()}
    learn(learner, tiny_stream(), 2)
    changed = {
        name for name, value in learner.backbone.model.named_parameters() if not torch.equal(value, before[name])
    }
    light = {name for name in before if "norm" in name or "bias" in name or "cls_token" in name}
    assert changed <= light
    assert light - changed <= {"norm.weight", "norm.bias"}, "the final norm is replaced before"
    assert {"cls_token", "blocks.0.norm1.weight", "blocks.1.attn.qkv.bias", "patch_embed.proj.bias"} <= changed


def test_drawn_features_shrink_with_the_age_of_their_class() -> None:
    x, y = torch.ones(2, 600, 4), torch.arange(3).repeat(2, 200)
    source = AgedFeatures(Features(x, y, 1), torch.tensor([2, 1, 0]), mu=0.02, jitter=0.01)
    assert source.steps == 2

    def rng(purpose: str, *step: int) -> torch.Generator:
        return torch.Generator().manual_seed(sum(step))

    batches = list(source.epoch(0, rng))
    m = {age: torch.cat([(1 / b.x[b.y == 2 - age, 0] - 1) / max(age, 1) for b in batches]) for age in range(3)}
    assert not m[0].any(), "features of the newest task do not change"
    for age in (1, 2):
        assert 0.01 - 1e-6 <= m[age].min() < 0.012 and 0.028 < m[age].max() <= 0.03 + 1e-6
        assert m[age].mean() == pytest.approx(0.02, abs=1e-3)
    assert all(torch.equal(batch.x, batch.x[:, :1].expand(-1, 4)) for batch in batches), "one factor per feature"
    resumed = list(source.epoch(0, rng, 1))
    assert len(resumed) == 1 and torch.equal(resumed[0].x, batches[1].x)
    assert not torch.equal(batches[0].x, batches[1].x), "every step draws its own factors"


def test_the_alignment_draws_aged_features_of_unshrunk_means(fits: list[dict[str, Any]], learn: Any) -> None:
    learn(make(SLCAPlusPlus, **FAST, age_scale=0.03), tiny_stream(), 3)
    last = [fit for fit in fits if fit["phase"] == "classifier alignment"][-1]["data"]
    assert isinstance(last, AgedFeatures)
    assert (last.mu, last.jitter, last.source.scale, last.source.per_class) == (0.03, 0.01, None, 16)  # type: ignore[attr-defined]
    assert last.ages.tolist() == [2, 2, 1, 1, 0, 0]


def test_the_gaussians_are_of_features_with_lora(learn: Any) -> None:
    learner, stream = make(SLCAPlusPlus, **{**FAST, "lr": 0.2}), tiny_stream()
    learn(learner, stream, 1)
    view = stream.view(0)
    images = learner.backbone.transform(view.train.pixels(torch.arange(len(view.train))))
    with torch.no_grad():
        with_lora, without = learner.lora(learner.backbone, images), learner.backbone(images)
    for seen, near in ((with_lora, True), (without, False)):
        means = torch.stack([seen[view.train.labels == label].mean(0) for label in view.classes])
        assert torch.allclose(learner.gaussians.mean, means, atol=1e-4) is near


def test_new_heads_are_drawn_from_a_narrow_normal_distribution() -> None:
    learner = make(SLCAPlusPlus, **FAST)
    learner.setup(tiny_stream().info)
    learner.heads.grow_to(400, learner.init_rng("head"))
    assert float(learner.heads.blocks[0].weight.std()) == pytest.approx(0.02, rel=0.05)
    assert not learner.heads.blocks[0].bias.any()


def test_ages_follow_the_tasks_of_the_classes_or_the_index_of_the_code() -> None:
    right, legacy = make(SLCAPlusPlus, **FAST), make(SLCAPlusPlus, **FAST, legacy_task_index=True)
    for learner in (right, legacy):
        learner.setup(tiny_stream().info)
        for classes in (3, 4, 6):
            learner.heads.grow_to(classes, torch.Generator())
    assert right.ages(2).tolist() == [2, 2, 2, 1, 0, 0]
    assert legacy.ages(2).tolist() == [2, 2, 1, 1, 0, 0]


@pytest.mark.parametrize(("ca_epochs", "mu"), [(1, 0.02), (0, 0.0)])
def test_prediction_multiplies_the_input_of_old_heads_once_they_are_aligned(
    learn: Any, ca_epochs: int, mu: float
) -> None:
    stream = tiny_stream()
    learner = make(SLCAPlusPlus, **{**FAST, "ca_epochs": ca_epochs})
    learn(learner, stream, 3)
    pixels = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
    with torch.no_grad():
        found = learner.lora(learner.backbone, learner.backbone.transform(pixels))
        expected = [
            F.linear(found * (1 + mu * (2 - task)), block.weight, block.bias)
            for task, block in enumerate(learner.aligned.blocks)
        ]
    assert torch.allclose(learner.predict_images(pixels), torch.cat(expected, 1), atol=1e-5)


def test_the_objective_is_the_symmetric_cross_entropy() -> None:
    learner = make(SLCAPlusPlus, **FAST, ce=0.5, reverse_ce=0.25)
    logits, labels = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 30.0]]), torch.tensor([0, 1])
    p = logits.double().softmax(1)
    forward = -(p[0, 0].log() + p[1, 1].log()) / 2
    wrong = (1 - p[0, 0]) + (p[1, 0].clamp(min=1e-7) + p[1, 2])
    reverse = wrong * -torch.log(torch.tensor(1e-4, dtype=torch.float64)) / 2
    assert float(learner.objective(logits, labels)) == pytest.approx(float(0.5 * forward + 0.25 * reverse), rel=1e-5)


VALUES = {
    "split-cifar100": (20, 5e-4, 1.0, 0.1, 0.1, 1e-4, "rrc-flip-jitter"),
    "imagenet-r": (50, 0.0, 0.5, 0.5, 0.1, 1e-4, "rrc-flip"),
    "cub-200": (50, 5e-4, 1.0, 0.1, 0.1, 1e-4, "resize-crop-flip"),
    "stanford-cars": (50, 0.0, 0.5, 0.5, 0.05, 1e-4, "resize-crop-flip"),
}


@pytest.mark.parametrize("weights", [".augreg_in21k", "@moco_v3.pth"])
@pytest.mark.parametrize("stream", list(VALUES))
def test_presets_have_the_values_of_the_authors_files(stream: str, weights: str) -> None:
    options = make_plan("slca-pp", stream, f"vit_base_patch16_224{weights}").options
    names = ("epochs", "weight_decay", "ce", "reverse_ce", "logit_norm", "min_lr", "augment")
    expected = dict(zip(names, VALUES[stream], strict=True))
    if "moco" in weights:
        expected |= {"epochs": 90, "min_lr": 1e-5}
    assert {name: getattr(options, name) for name in names} == expected
    assert (options.lr, options.backbone_lr_scale, options.first_lora_scale, options.batch_size) == (
        0.01,
        0.1,
        0.5,
        128,
    )
    assert (options.rank, options.lora_scale, options.age_scale, options.age_jitter) == (4, 0.8, 0.02, 0.01)
    assert (options.ca_epochs, options.ca_samples, options.ca_lr) == (5, 256, 0.01)
