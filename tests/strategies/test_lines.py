"""LiNeS: the invariants of the paper, a plain loop of fine-tuning and scaling, and the choice of alpha."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cl.cli.app import call
from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.strategies.finetune import Finetune
from cl.strategies.lines import ALPHAS, LiNeS, tradeoff
from cl.strategy import Inputs
from cl.training import state
from tests.conftest import make, tiny_backbone, tiny_stream
from tests.help.compare import same
from tests.help.plain_loops import Keeping, Tensors, close, descend, logits, weights

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "crop-flip"}


def lines(**options: Any) -> LiNeS:
    return make(LiNeS, **{"base_options": FAST, **options})


def body(learner: Any) -> dict[str, Tensor]:
    copied: dict[str, Tensor] = state.clone(dict(learner.backbone.model.state_dict()))
    return copied


# ------------------------------------------------------------------------------------------------------ invariants


@pytest.mark.parametrize("anchor", ["previous", "pretrained"])
def test_alpha_1_and_beta_0_is_the_base(learn: Learn, anchor: str) -> None:
    alone, wrapped = make(Finetune, **FAST), lines(alpha=1.0, anchor=anchor)
    learn(alone, tiny_stream(), 3)
    learn(wrapped, tiny_stream(), 3)
    assert same(body(alone), body(wrapped))


def test_alpha_0_and_beta_0_stays_pretrained(learn: Learn) -> None:
    learner = lines(alpha=0.0, beta=0.0)
    start = body(learner)
    learn(learner, tiny_stream(), 2)
    assert same(body(learner), start)


def test_the_first_block_keeps_alpha_and_the_last_alpha_plus_beta_of_the_change(learn: Learn) -> None:
    alone, wrapped = make(Finetune, **FAST), lines(alpha=0.25, beta=0.5)
    start = body(alone)
    for learner in (alone, wrapped):
        learn(learner, tiny_stream(), 1)
    factors = {
        "blocks.0.attn.qkv.weight": 0.25,
        "blocks.1.attn.qkv.weight": 0.75,
        "cls_token": 0.25,
        "norm.weight": 0.25,
    }
    for name, factor in factors.items():
        change = body(alone)[name] - start[name]
        assert float(change.abs().max()) > 0
        torch.testing.assert_close(body(wrapped)[name], start[name] + factor * change, rtol=0, atol=1e-6)
    assert wrapped.report()["task0.alpha"] == 0.25


def test_the_whole_training_equals_a_plain_loop(learn: Learn) -> None:
    """Two tasks of fine-tuning by SGD, each followed by alpha + (1 - alpha) l / (L - 1) of the change."""
    backbone = tiny_backbone()
    for module in backbone.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    options = {**FAST, "optimizer": "sgd", "momentum": 0.9, "weight_decay": 0.01}
    learner = LiNeS(LiNeS.Options(alpha=0.3, base_options=options), backbone, Keeping())
    ends = learn(learner, tiny_stream(), 2, lambda strategy, view: (weights(strategy.base), view.classes))
    model = tiny_backbone().model
    plain: Tensors = {}
    trainer: Any = learner.trainer
    for task, (end, classes) in enumerate(ends):
        start: Tensors = {**trainer.starts[task, "train"], **{k: v for k, v in plain.items() if "head" not in k}}

        def loss(held: Tensors, batch: Any, classes: Any = classes) -> Tensor:
            found = logits(model, held, batch.x)[:, list(classes)]
            return nn.functional.cross_entropy(found, batch.y - classes[0])

        trained = descend(
            start, trainer.batches[task, "train"], loss, lambda step: 0.05, momentum=0.9, decay=lambda name: 0.01
        )
        plain = {}
        for name, value in trained.items():
            factor = 1.0 if "head" in name or name.startswith("blocks.1.") else 0.3
            plain[name] = start[name] + factor * (value - start[name])
        close(end, plain)


# -------------------------------------------------------------------------------------------------- choice of alpha


def validated(**options: Any) -> Any:
    return tiny_stream(val_fraction=0.25, **options)


def test_alpha_is_the_best_trade_on_the_validation_images(learn: Learn) -> None:
    """Every alpha is tried; the sum of target and control is computed again from the network of each alpha."""
    stream, learner = validated(), lines(choose=True, base_options={**FAST, "epochs": 4, "lr": 0.3})
    seen: list[tuple[Any, ...]] = []
    best = LiNeS._best

    def traced(self: LiNeS, view: Any, anchor: Any) -> float:
        pixels, labels = view.val.pixels(slice(None)), view.val.labels
        trained, columns = body(self), torch.tensor(view.classes)
        before = self._answers
        targets, controls = [], []
        for alpha in ALPHAS:
            last = 1  # of two blocks
            with torch.no_grad():
                for name, tensor in self.tensors().items():
                    block = name.split(".")[1] if name.startswith("blocks.") else "0"
                    factor = alpha + (1 - alpha) * int(block) / last
                    tensor.copy_(anchor[name] + factor * (trained[name] - anchor[name]))
                scores = self.base.predict(Inputs(pixels))
            targets.append(float((columns[scores[:, columns].argmax(1)] == labels).float().mean()))
            old = before.shape[1]
            controls.append(float((scores[:, :old].argmax(1) == before.argmax(1)).float().mean()) if old else 1.0)
        self.backbone.model.load_state_dict(trained)
        found = best(self, view, anchor)
        assert same(body(self), trained), "the network is as trained after the choice"
        seen.append((found, targets, controls))
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LiNeS, "_best", traced)
        learn(learner, stream, 3)
    assert [found for found, _, _ in seen] == learner.alphas
    for found, targets, controls in seen:
        sums = [
            2 * (target / max(targets[0], 1e-9)) + control for target, control in zip(targets, controls, strict=True)
        ]
        assert sums[ALPHAS.index(found)] == pytest.approx(max(sums), abs=1e-6)
    assert seen[0][2] == [1.0] * 11, "there is no control in the first task"
    assert len({tuple(controls) for _, _, controls in seen[1:]} | {(1.0,) * 11}) > 1


def test_of_equally_good_values_the_largest_wins() -> None:
    assert tradeoff([0.5, 0.5, 0.4], [1.0, 1.0, 1.2], 2.0) == 0
    assert tradeoff([0.5, 0.4, 0.1], [0.0, 0.5, 1.0], 2.0) == 1
    assert tradeoff([0.0, 0.2], [1.0, 0.5], 2.0, least=0.1) == 1


# -------------------------------------------------------------------------------------------------------- refusals


def test_bases_and_options_without_sense_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match=r"^base=slca cannot be interpolated"):
        make_plan("lines", "split-digits", options={"base": "slca"})
    with pytest.raises(UsageError, match=r"beta=0.5 is not read with choose=true"):
        make_plan("lines", "split-digits", options={"choose": True, "beta": 0.5})
    assert make_plan("lines", "split-digits", options={"base.lr": 0.5}).options.base_options["lr"] == 0.5
    command = ["run", "-s", "lines", "--stream", "split-digits", "--set", "choose=true"]
    assert call(command) == 2, "there are no validation images"
    assert "stream.val_fraction" in capsys.readouterr().err
