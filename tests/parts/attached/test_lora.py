"""LoRA: what it adds to linear layers, row groups and convolutions, with and without weights, merged and not."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from cl.backbone import Backbone, load
from cl.backbone.transform import Transform
from cl.errors import UsageError
from cl.parts.attached import LoRA
from cl.parts.weights import under
from cl.testing import tiny_backbone
from cl.training import state
from tests.help.attached_parts import (
    assert_images_are_independent_and_states_are_restored,
    assert_the_backbone_stays_pristine_and_every_parameter_trains,
    draw,
    filled,
    images,
    rng,
)

LAYERS = ("attn.qkv", "mlp.fc1")


class Convolutions(nn.Module):
    """Three plain convolutions, one of them strided, and a last one in two groups."""

    num_features = 6

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.conv2 = nn.Conv2d(8, 6, 1)
        self.wide = nn.Conv2d(6, 6, 5, padding=2)
        self.split = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.norm = nn.BatchNorm2d(6)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.split(self.wide(self.conv2(self.conv1(x).relu()).relu()))).mean((2, 3))


class ByWeight(nn.Module):
    """Uses the weight of its linear layer, as BEiT does for its qkv."""

    num_features = 6

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.fc = nn.Linear(3, 6), nn.Linear(6, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(nn.functional.linear(x.mean((2, 3)), self.qkv.weight))


def by_weight() -> Backbone:
    identity = {"name": "by-weight", "weights_sha256": "random-0", "parameters": 0, "dim": 6, "input": {"size": 8}}
    return Backbone(ByWeight(), Transform(8, (0.5,) * 3, (0.5,) * 3), identity | {"pretraining": "none"})


def convolutions() -> Backbone:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = Convolutions()
    identity = {"name": "convolutions", "weights_sha256": "random-0", "parameters": 0, "dim": 6, "input": {"size": 8}}
    return Backbone(network, Transform(8, (0.5,) * 3, (0.5,) * 3), identity | {"pretraining": "none"})


def lora(backbone: Backbone, targets: Sequence[str] = LAYERS, rank: int = 2, **more: Any) -> LoRA:
    return LoRA(backbone, rank, targets, generator=rng(), **more)


CASES: dict[str, tuple[Callable[[], Backbone], dict[str, Any]]] = {
    "linear": (tiny_backbone, {"scale": 0.7}),
    "all groups": (tiny_backbone, {"targets": ("attn.qkv",), "groups": ("q", "k", "v"), "scale": 0.7}),
    "keys": (tiny_backbone, {"groups": ("k",), "scale": 0.7, "slots": 3}),
    "queries and values": (tiny_backbone, {"groups": ("q", "v"), "slots": 2}),
    "convolutions": (convolutions, {"targets": ("conv1", "conv2"), "scale": 0.7, "slots": 2}),
}


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> tuple[Backbone, LoRA]:
    """A backbone and a LoRA with drawn factors, in float64."""
    make, options = CASES[request.param]
    backbone = make().double()
    return backbone, filled(lambda given: lora(given, **options), backbone)


def products(part: LoRA, weights: Sequence[float] | None = None) -> dict[str, Tensor]:
    """w s B A, slot by slot and site by site, added at the rows of the site."""
    found: dict[str, Tensor] = {}
    for number, site in enumerate(part.sites):
        for slot in range(len(part)):
            a, b = part.a[slot][number], part.b[slot][number]
            factor = part.scale * (1.0 if weights is None else weights[slot])
            full = torch.zeros(part._shapes[site.layer], dtype=a.dtype)
            full[site.start : site.stop] = factor * torch.einsum("or,r...->o...", b, a)
            found[site.layer] = found.get(site.layer, 0) + full
    return found


def changed(backbone: Backbone, part: LoRA, weights: Sequence[float] | None = None) -> Backbone:
    """A copy of the backbone with the products in its weights."""
    other = copy.deepcopy(backbone)
    with torch.no_grad():
        for layer, value in products(part, weights).items():
            other.model.get_parameter(f"{layer}.weight").add_(value)
    return other


# ---------------------------------------------------------------------------------------------------------- forward


@pytest.mark.parametrize("name", list(CASES))
def test_a_new_slot_changes_nothing(name: str) -> None:
    make, options = CASES[name]
    backbone = make()
    part, x = lora(backbone, **options), images().float()
    assert torch.equal(part(backbone, x), backbone(x))


def test_a_is_drawn_uniformly_as_in_peft_and_b_is_zero() -> None:
    backbone = tiny_backbone(dim=64, heads=2)
    for part, bound in ((lora(backbone, rank=16), 1 / 8), (lora(convolutions(), ("conv1",), 5), 27**-0.5)):
        drawn = torch.cat([factor.flatten() for factor in part.a[0]])
        assert drawn.abs().max() <= bound and drawn.std() == pytest.approx(bound / 3**0.5, rel=0.15)
        assert not any(factor.any() for factor in part.b[0])
    again, other = lora(backbone, rank=16), lora(backbone, rank=16)
    other.redraw(rng(1))
    assert torch.equal(again.a[0][0], lora(backbone, rank=16).a[0][0]) and not torch.equal(again.a[0][0], other.a[0][0])


def test_the_features_are_those_of_a_model_with_the_products_in_its_weights(case: tuple[Backbone, LoRA]) -> None:
    backbone, part = case
    other = changed(backbone, part)
    assert torch.allclose(part(backbone, images()), other(images()), atol=1e-10)
    assert not torch.allclose(backbone(images()), other(images()), atol=1e-3)


@pytest.mark.parametrize(("group", "rows"), [("q", (0, 16)), ("k", (16, 32)), ("v", (32, 48))])
def test_a_group_changes_its_third_of_the_outputs(group: str, rows: tuple[int, int]) -> None:
    backbone = tiny_backbone().double()
    part = filled(lambda given: lora(given, ("attn.qkv",), groups=(group,)), backbone)
    layer: Any = backbone.model.get_submodule("blocks.1.attn.qkv")
    x = draw(5, 3, 16)
    with part.attached(backbone):
        change = layer.forward(x)
    change = change - layer.forward(x)
    assert torch.allclose(change[..., slice(*rows)], x @ part.a[0][1].T @ part.b[0][1].T, atol=1e-10)
    change[..., slice(*rows)] = 0
    assert not change.any()


def test_shared_weights_multiply_the_slots(case: tuple[Backbone, LoRA]) -> None:
    backbone, part = case
    weights = [0.5, -1.5, 2.0][: len(part)]
    other = changed(backbone, part, weights)
    found = part(backbone, images(), torch.tensor(weights, dtype=torch.float64))
    assert torch.allclose(found, other(images()), atol=1e-10)


def test_each_image_has_its_own_weights(case: tuple[Backbone, LoRA]) -> None:
    backbone, part = case
    weights = draw(5, len(part), seed=9)
    found = part(backbone, images(), weights)
    for number, row in enumerate(weights):
        alone = changed(backbone, part, row.tolist())(images()[number : number + 1])
        assert torch.allclose(found[number : number + 1], alone, atol=1e-10)


class Products(TorchDispatchMode):
    """Notes the shapes of the second factor of every product of matrices."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket in (torch.ops.aten.mm, torch.ops.aten.addmm, torch.ops.aten.bmm):
            self.shapes.append(tuple(args[-1].shape))
        return func(*args, **(kwargs or {}))


def test_one_product_with_all_a_and_one_with_all_b() -> None:
    backbone = tiny_backbone(depth=1)
    part = lora(backbone, ("attn.qkv",), groups=("q", "k", "v"), slots=4)
    layer: Any = backbone.model.get_submodule("blocks.0.attn.qkv")
    with Products() as products, part.attached(backbone, draw(5, 4).float()):
        layer.forward(draw(5, 3, 16).float())
    assert sorted(products.shapes) == [(16, 24), (16, 48), (24, 48)], "A of 3 groups x 4 slots x rank 2, the layer, B"


def test_gradients_reach_factors_and_weights_but_no_full_weight() -> None:
    backbone = tiny_backbone().double()
    part = filled(lambda given: lora(given, groups=("k", "v"), slots=2), backbone).requires_grad_(True)
    weights = torch.ones(2, dtype=torch.float64, requires_grad=True)
    part(backbone, images(), weights).square().sum().backward()
    assert weights.grad is not None and bool(weights.grad.all())
    assert all(p.grad is not None and bool(p.grad.any()) for p in part.parameters())
    assert all(p.grad is None for p in backbone.parameters())
    part.requires_grad_(False)
    for factor in part.b[1]:
        factor.requires_grad_(True)
    part.zero_grad()
    part(backbone, images()).square().sum().backward()
    assert all((p.grad is not None) == p.requires_grad for p in part.parameters()), "a frozen slot gets no gradient"


def test_dropout_acts_in_training_only() -> None:
    backbone = tiny_backbone().double()
    part = filled(lambda given: lora(given, dropout=0.5), backbone)
    plain = part(backbone, images())
    assert torch.equal(part(backbone, images()), plain)
    part.train()
    torch.manual_seed(0)
    one, two = part(backbone, images()), part(backbone, images())
    assert not torch.allclose(one, two) and not torch.allclose(one, plain)
    layer: Any = backbone.model.get_submodule("blocks.0.mlp.fc1")
    x = draw(4000, 16)
    with part.attached(backbone):
        mean = torch.stack([layer.forward(x[:1].expand(4000, -1)).mean(0) for _ in range(3)]).mean(0)
    with part.eval().attached(backbone):
        assert torch.allclose(mean, layer.forward(x[:1])[0], atol=0.1), "the mean is that without dropout"


def test_the_additions_act_on_lent_weights() -> None:
    backbone = tiny_backbone().double()
    part = filled(lora, backbone)
    name = "blocks.0.attn.qkv.weight"
    lent = {name: draw(48, 16, seed=3)}
    with part.attached(backbone):
        found = under(backbone, lent, images())
    other = changed(backbone, part)
    with torch.no_grad():
        other.model.get_parameter(name).copy_(lent[name] + products(part)["blocks.0.attn.qkv"])
    assert torch.allclose(found, other(images()), atol=1e-10)


def test_bf16_passes_with_factors_in_float32() -> None:
    backbone = tiny_backbone()
    part = filled(lambda given: lora(given, groups=("q", "v"), slots=2), backbone).float()
    exact = part(backbone, images().float())
    backbone.precision = torch.bfloat16
    assert torch.allclose(part(backbone, images().float()), exact, atol=0.2)
    part.requires_grad_(True)
    part(backbone, images().float()).sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in part.parameters())


# ---------------------------------------------------------------------------------------------------------- weights


def test_deltas_are_the_products_by_the_names_of_the_weights(case: tuple[Backbone, LoRA]) -> None:
    backbone, part = case
    found, expected = part.deltas(), products(part)
    assert found.keys() == {f"{layer}.weight" for layer in expected}
    for layer, value in expected.items():
        assert torch.allclose(found[f"{layer}.weight"], value, atol=1e-12)
        assert value.shape == backbone.model.get_parameter(f"{layer}.weight").shape
    weights = torch.arange(1.0, len(part) + 1, dtype=torch.float64)
    for layer, value in products(part, weights.tolist()).items():
        assert torch.allclose(part.deltas(weights)[f"{layer}.weight"], value, atol=1e-12)


def test_the_rank_of_an_update_is_at_most_slots_times_rank() -> None:
    part = filled(lambda given: lora(given, rank=3, slots=2), tiny_backbone())
    for value in part.deltas().values():
        assert torch.linalg.matrix_rank(value) == 6


def test_a_merge_keeps_the_outputs_and_its_undoing_restores_every_bit(case: tuple[Backbone, LoRA]) -> None:
    backbone, part = case
    before, plain = state.clone(dict(backbone.state_dict())), backbone(images())
    expected = part(backbone, images())
    kept = part.merge(backbone)
    assert torch.allclose(backbone(images()), expected, atol=1e-10)
    assert kept.keys() == part.deltas().keys(), "the cost is a copy of the changed weights alone"
    part.unmerge(backbone, kept)
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())
    assert torch.equal(backbone(images()), plain)


def test_subtracting_the_product_would_not_restore_the_weights() -> None:
    """Why `merge` returns the weights: the test above is able to fail."""
    backbone = tiny_backbone().double()
    with torch.no_grad():
        for parameter in backbone.parameters():
            parameter.div_(3)  # weights drawn in float32 end in 29 bits of 0, which a sum in float64 can spare
    part = filled(lambda given: lora(given, scale=100.0), backbone)
    kept = part.merge(backbone)
    lost = [not torch.equal(backbone.model.get_parameter(n) - d, kept[n]) for n, d in part.deltas().items()]
    assert all(lost)


def test_merges_are_undone_in_reverse_order() -> None:
    backbone = tiny_backbone().double()
    first, second = filled(lora, backbone), filled(lambda given: lora(given, scale=3.0), backbone)
    before = state.clone(dict(backbone.state_dict()))
    kept = [first.merge(backbone), second.merge(backbone)]
    second.unmerge(backbone, kept[1])
    first.unmerge(backbone, kept[0])
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())


# ------------------------------------------------------------------------------------------------------------ state


def test_the_backbone_stays_pristine() -> None:
    assert_the_backbone_stays_pristine_and_every_parameter_trains(lambda given: lora(given, slots=2))
    assert_images_are_independent_and_states_are_restored(lambda given: lora(given, slots=2))


def test_slots_are_added_and_removed_by_a_state() -> None:
    backbone = tiny_backbone()
    part = filled(lambda given: lora(given, slots=2), backbone).float()
    one, held = state.clone(part.get_state()), part.a[0][0]
    part.grow(rng(5))
    three = state.clone(part.get_state())
    assert len(part) == 3 and not any(b.any() for b in part.b[2]) and all(a.any() for a in part.a[2])
    empty = lora(backbone, slots=0)
    assert torch.equal(empty(backbone, images().float()), backbone(images().float()))
    empty.set_state(three)
    assert len(empty) == 3 and torch.equal(empty(backbone, images().float()), part(backbone, images().float()))
    part.set_state(one)
    assert len(part) == len(part.b) == 2 and part.a[0][0] is held, "optimisers keep their parameters"
    assert all(torch.equal(a, b) for a, b in zip(part.get_state()["a"][1], one["a"][1], strict=True))


def test_features_are_memoised_until_a_factor_or_a_weight_changes() -> None:
    backbone = tiny_backbone()
    part, weights = lora(backbone), torch.ones(1)
    key = part.extractor(backbone).key
    assert part.extractor(backbone).key == key != backbone.key
    shared = part.extractor(backbone, weights).key
    assert shared != key
    weights.mul_(2)
    assert part.extractor(backbone, weights).key != shared
    with torch.no_grad():
        part.b[0][0].add_(1.0)
    assert part.extractor(backbone).key != key
    found = part.extractor(backbone, weights)(images().float())
    assert torch.equal(found, part(backbone, images().float(), weights))


# --------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("make", "options", "says"),
    [
        (tiny_backbone, {"rank": 17}, r"rank=17 does not fit layer blocks.0.attn.qkv .* 48 x 16; .* rank of 1 to 16\."),
        (tiny_backbone, {"rank": 0}, "rank=0 does not fit"),
        (convolutions, {"targets": ("conv2",), "rank": 7}, "a matrix of 6 x 8; choose a rank of 1 to 6"),
        (
            tiny_backbone,
            {"targets": ("conv3",)},
            r"no layer whose name ends in 'conv3'; .* attn.proj, attn.qkv, mlp.fc1",
        ),
        (tiny_backbone, {"targets": ("attn.qkv", "fc9")}, "ends in 'fc9'"),
        (tiny_backbone, {"targets": ("kv",)}, "ends in 'kv'"),
        (tiny_backbone, {"targets": ("norm1",)}, "layer blocks.0.norm1 of backbone tiny is a LayerNorm"),
        (convolutions, {"targets": ("wide",)}, r"a convolution with kernel \(5, 5\), 1 groups"),
        (convolutions, {"targets": ("split",)}, r"a convolution with kernel \(3, 3\), 2 groups"),
        (tiny_backbone, {"groups": ("o",)}, "the groups q, k, v, not 'o'"),
        (tiny_backbone, {"targets": ("mlp.fc1",), "groups": ("q",)}, "no target in backbone tiny is called qkv"),
        (by_weight, {"targets": ("qkv", "fc")}, "uses the weight of layer qkv without calling the layer"),
        (
            lambda: load("maxvit_pico_rw_256@random"),
            {"targets": ("attn.qkv",), "groups": ("q",)},
            "does not hold the rows of queries, keys and values in three equal parts",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_sentence(
    make: Callable[[], Backbone], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(UsageError, match=says) as error:
        lora(make(), **options)
    assert "\n" not in str(error.value) and str(error.value).endswith(".")


def test_the_third_convolutions_of_a_resnet() -> None:
    backbone = load("resnet26@random")
    part = lora(backbone, ("conv3",), 4)
    assert len(part.sites) == 8 and all(site.layer.endswith("conv3") for site in part.sites)
    assert part.a[0][0].shape == (4, 64, 1, 1) and part.b[0][0].shape == (256, 4)
