"""NoRGa: the gates; tests/strategies/test_hide_prompt.py has the tests that it shares with HiDe-Prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.parts.attached.prefixes import Prefix, attention_blocks, prefixed
from cl.parts.attached.task_prefixes import TaskPrefixes
from cl.strategies.hide_prompt import HiDePrompt
from cl.strategies.norga import ACTIVATIONS, NoRGa
from cl.stream import StreamInfo
from cl.testing import tiny_backbone
from cl.training import state
from tests.conftest import make, tiny_stream
from tests.help.compare import same
from tests.help.hide_prompt import FAST, images_of, of, preset, scores

Learn = Callable[..., list[Any]]


def norga(**options: Any) -> NoRGa:
    return make(NoRGa, **{**FAST, **options})


def double(gate: Any = None, length: int = 3) -> tuple[Any, TaskPrefixes, Tensor]:
    """A backbone in float64, its prefixes with one drawn prompt, and images."""
    rng = torch.Generator().manual_seed(1)
    backbone = tiny_backbone().double()
    prompts = TaskPrefixes(backbone, (0, 1), length, gate).double()
    prompts.grow_to(1, rng)
    return backbone, prompts.double(), torch.randn(4, 3, 8, 8, dtype=torch.float64, generator=rng)


def features(prompts: TaskPrefixes, backbone: Any, images: Tensor) -> Tensor:
    return prompts(backbone, images, prompts.prompts[0])


class Closed(NoRGa):
    """Gates that add nothing and stay so."""

    def setup(self, info: StreamInfo) -> None:
        super().setup(info)
        with torch.no_grad():
            self.prompts.alpha_out.zero_()

    def prompt_parameters(self, task: int) -> list[nn.Parameter]:
        return HiDePrompt.prompt_parameters(self, task)


def test_closed_gates_are_plain_prefix_tuning() -> None:
    for activation in ACTIVATIONS:
        gated, plain = double(norga(activation=activation).gate()), double()
        gated[1].alpha_out.data.zero_()
        for found in (gated, plain):
            found[1].prompts[0].requires_grad_(True)
        one, two = (features(prompts, backbone, images) for backbone, prompts, images in (gated, plain))
        assert torch.allclose(one, two, atol=1e-12)
        for value in (one, two):
            value.square().sum().backward()
        grads = [found[1].prompts[0].grad for found in (gated, plain)]
        assert grads[0] is not None and grads[1] is not None
        assert bool(grads[1].any()) and torch.allclose(grads[0], grads[1], atol=1e-10)


def test_closed_gates_train_as_hide_prompt_does(learn: Learn) -> None:
    closed, plain = make(Closed, **FAST), make(HiDePrompt, **FAST)
    for learner in (closed, plain):
        learn(learner, tiny_stream(), 3)
    for one, two in zip(closed.prompts.prompts, plain.prompts.prompts, strict=True):
        assert torch.allclose(one, two, atol=1e-3)
    pixels, near = images_of(tiny_stream()), 1e-4  # by initial weights they differ by 1e-7, and below by 1e-3 or more
    assert torch.allclose(scores(closed, pixels), scores(plain, pixels), atol=near)
    assert not torch.allclose(scores(closed, pixels), scores(_open(learn), pixels), atol=near)


def _open(learn: Learn) -> NoRGa:
    learner = norga()
    learn(learner, tiny_stream(), 3)
    return learner


@pytest.mark.parametrize("residual", [True, False])
def test_the_identity_multiplies_the_scores_of_prefixes(residual: bool) -> None:
    backbone, prompts, images = double(norga(activation="identity", residual=residual).gate())
    prompts.alpha_out.data = torch.tensor([0.7, -0.4], dtype=torch.float64)
    factors = prompts.alpha_out + residual  # 1 + alpha_out
    prompt = prompts.prompts[0]
    scaled = {i: Prefix(factors[i] * prompt[i, 0], prompt[i, 1]) for i in range(2)}  # scores are linear in the keys
    assert torch.allclose(features(prompts, backbone, images), prefixed(backbone, images, scaled), atol=1e-12)


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_the_gate_is_the_equation(activation: str) -> None:
    known: dict[str, Any] = {"tanh": torch.tanh, "sigmoid": torch.sigmoid, "gelu": F.gelu, "identity": lambda s: s}
    act = known[activation]
    backbone, prompts, images = double(norga(activation=activation).gate())
    prompts.alpha_in.data, prompts.alpha_out.data = (torch.tensor(v).double() for v in ([0.6, 1.5], [0.8, -0.5]))
    seen: list[tuple[Tensor, ...]] = []

    def spy(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor, dropout_p: float) -> Tensor:
        all_scores = q @ k.mT / q.shape[-1] ** 0.5
        seen.append((all_scores, attn_mask))
        return (all_scores + attn_mask).softmax(-1) @ v

    plain = features(prompts, backbone, images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cl.parts.attached.prefixes.F.scaled_dot_product_attention", spy)
        assert torch.allclose(features(prompts, backbone, images), plain, atol=1e-12)
    for i, (found, added) in enumerate(seen):
        assert torch.allclose(added[..., :3], prompts.alpha_out[i] * act(prompts.alpha_in[i] * found[..., :3]))
        assert not added[..., 3:].any(), "scores of the image's own keys are untouched"
    assert len(seen) == 2


def test_attention_rows_sum_to_one_over_prefix_and_image() -> None:
    backbone, prompts, images = double(norga(activation="sigmoid").gate())
    outputs: list[Tensor] = []
    with torch.no_grad():
        for attn in attention_blocks(backbone):  # every value of the image is 1, and attention's output is seen
            width = attn.qkv.out_features // 3
            attn.qkv.weight[2 * width :] = 0
            attn.qkv.bias[2 * width :] = 1
            attn.proj.register_forward_pre_hook(lambda module, given: outputs.append(given[0]))
        prompts.prompts[0][:, 1] = 1
        features(prompts, backbone, images)
        assert len(outputs) == 2 and all(torch.allclose(out, torch.ones_like(out)) for out in outputs)
        outputs.clear()
        prompts.prompts[0][:, 1] = 0  # now what is left is the share of the image's own keys
        features(prompts, backbone, images)
    assert all(bool(((out > 0.05) & (out < 0.95)).all()) for out in outputs)


def test_gates_learn_in_the_first_task_and_never_again(learn: Learn, fits: list[dict[str, Any]]) -> None:
    learner = norga()
    kept = learn(learner, tiny_stream(), 3, lambda s, v: state.clone([s.prompts.alpha_in, s.prompts.alpha_out]))
    assert all(bool((alpha != 1).all()) and alpha.shape == (2,) for alpha in kept[0])
    assert same(kept[0], kept[1]) and same(kept[0], kept[2])
    trained = [fit["params"][0] for fit in of(fits, "prompt")]
    assert [len(group["params"]) for group in trained] == [3, 1, 1]
    assert trained[0]["lr"] == 0.05, "gates learn at the prompt's rate"


@pytest.mark.parametrize("activation", list(ACTIVATIONS))
def test_gates_have_a_gradient(activation: str) -> None:
    backbone, prompts, images = double(norga(activation=activation).gate())
    prompts.requires_grad_(True)
    features(prompts, backbone, images).square().sum().backward()
    for alpha in (prompts.alpha_in, prompts.alpha_out):
        assert alpha.grad is not None and bool((alpha.grad.abs() > 1e-9).all())


def test_no_prefix_leaves_the_frozen_model() -> None:
    backbone, prompts, images = double(norga(activation="sigmoid").gate(), length=0)
    assert torch.allclose(features(prompts, backbone, images), backbone(images), atol=1e-12)


def test_a_sigmoid_draws_attention_to_the_prefixes_from_the_start() -> None:
    shares = []
    for gate in (norga(activation="sigmoid").gate(), None):
        backbone, prompts, images = double(gate)
        outputs: list[Tensor] = []
        with torch.no_grad():
            attn = attention_blocks(backbone)[0]
            width = attn.qkv.out_features // 3
            attn.qkv.weight[2 * width :] = 0
            attn.qkv.bias[2 * width :] = 0
            prompts.prompts[0][:, 1] = 1
            attn.proj.register_forward_pre_hook(lambda module, given, outputs=outputs: outputs.append(given[0]))
            features(prompts, backbone, images)
        shares.append(float(outputs[0].mean()))
    assert shares[0] > shares[1] + 0.05


def test_gates_and_prompts_come_back_with_the_state(learn: Learn) -> None:
    learner, pixels = _open(learn), images_of(tiny_stream())
    other = norga()
    other.info = learner.info
    other.setup(learner.info)
    other.set_state(state.clone(learner.get_state()))
    assert torch.equal(scores(other, pixels), scores(learner, pixels))
    assert learner.stored()["parameters"] > 4 * 4, "prompts, gates and heads"


def test_presets_of_self_supervised_weights() -> None:
    for weights in (".dino", "@ibot21k.pth", "@21k_ibot.pth"):
        found = preset("norga", "imagenet-r", weights)
        assert (found["epochs"], found["schedule"], found["activation"]) == (50, "constant", "tanh")
        assert (found["ca_epochs"], found["ca_lr"], found["tii_ca_lr"]) == (30, 0.005, 0.0025)
    found = preset("norga", "imagenet-r", "@ibot.pth")
    assert (found["epochs"], found["activation"], found["ca_epochs"]) == (50, "sigmoid", 80)
    found = preset("norga", "cub-200", "@ibot21k.pth")
    assert (found["tii_lr"], found["activation"], found["ca_epochs"], found["ca_lr"]) == (2.5e-4, "tanh", 80, 0.05)
    for weights, gate in ((".dino", "tanh"), ("@ibot.pth", "tanh"), ("@mocov3.pth", "gelu")):
        found = preset("norga", "split-cifar100", weights)
        assert (found["epochs"], found["prompt_momentum"], found["activation"]) == (20, 0.1, gate)
        assert (found["tii_ca_lr"], found["ca_lr"], found["ca_epochs"]) == (0.025, 0.005, 80)


def test_presets_have_timms_schedules_and_5_datasets_a_clip_for_the_prompt_alone() -> None:
    for stream in ("split-cifar100", "cub-200"):
        assert preset("norga", stream, ".augreg_in21k")["milestones"] == [31]
    assert preset("norga", "imagenet-r", ".augreg_in21k")["schedule"] == "timm-cosine"
    found = preset("norga", "5-datasets", ".augreg_in21k")
    assert (found["clip"], found["tii_clip"], found["activation"]) == (2.0, 1.0, "tanh")
    assert preset("norga", "5-datasets", "@ibot21k.pth")["activation"] == "sigmoid"
