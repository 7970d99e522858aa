"""SLM: slots of other tasks stay, retrieval is per image, and new slots change nothing at first."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.strategies.slm import SLM
from cl.stream import View
from cl.testing import tiny_backbone
from cl.training import state
from cl.training.trainer import Trainer
from tests.conftest import make, tiny_stream
from tests.help.compare import same

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {
    **{"epochs": 1, "batch_size": 16, "lr": 0.05, "augment": "none", "optimizer": "sgd"},
    **{"slots": 2, "top": 2, "rank": 3, "groups": 4, "key_lr": 0.05},
}


def slm(**options: Any) -> SLM:
    return make(SLM, **{**FAST, **options})


def pixels(count: int = 8) -> Tensor:
    return torch.randint(256, (count, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(4))


# ------------------------------------------------------------------------------------------------------ invariants


@pytest.mark.parametrize("retrieval", ["seen", "task"])
def test_slots_keys_and_heads_of_other_tasks_stay_bit_for_bit(learn: Learn, retrieval: str) -> None:
    class Retrieved(SLM):
        """The first of a task's keys is the query of its first image, which retrieves that slot then."""

        def _fit_keys(self, view: View) -> None:
            super()._fit_keys(view)
            with torch.no_grad():
                self.keys.rows[-1][:, 0] = self.encode(view.train)[0].reshape(4, 4)

    learner = make(Retrieved, **{**FAST, "retrieval": retrieval})

    def look(learner: SLM, view: Any) -> Any:
        return state.clone([learner.lora.get_state(), learner.keys.get_state(), learner.head.get_state()])

    first, second, third = learn(learner, tiny_stream(), 3, look)
    for earlier, later, count in ((first, second, 2), (second, third, 4)):
        for kind in ("a", "b"):
            assert same(later[0][kind][:count], earlier[0][kind])
        assert same(later[1]["rows"][: count // 2], earlier[1]["rows"])
        assert same(later[2]["weights"][: count // 2], earlier[2]["weights"])
    assert len(learner.lora) == len(learner.keys) == 6
    trained = [bool(factor.any()) for slot in third[0]["b"][4:] for factor in slot]
    assert all(trained if retrieval == "task" else trained[:2]), "the slots that were retrieved did train"
    assert learner.backbone.is_pristine


def test_new_slots_give_the_features_of_the_frozen_network() -> None:
    learner, plain = slm(), tiny_backbone()
    learner.setup(tiny_stream().info)
    for _ in range(3):
        learner.keys.grow(2, torch.Generator().manual_seed(0))
        for _ in range(2):
            learner.lora.grow(torch.Generator().manual_seed(0))
    images = plain.transform(pixels())
    with torch.no_grad():
        queries = plain(images)
        assert torch.equal(learner.instructed(images, queries), queries)


def test_answers_do_not_depend_on_the_other_images(learn: Learn) -> None:
    learner = slm()
    learn(learner, tiny_stream(), 3)
    together = learner.predict_images(pixels())
    alone = torch.cat([learner.predict_images(image[None]) for image in pixels()])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_with_all_slots_each_has_its_share(learn: Learn) -> None:
    """k = P: the network whose qkv have the sum of all changes, weighted by mean cosines over their sum."""
    learner = slm(top=6)
    learn(learner, tiny_stream(), 3)
    images = learner.backbone.transform(pixels())
    with torch.no_grad():
        queries = learner.backbone(images)
        means = []
        for group in range(4):
            keys = torch.cat([row[group] for row in learner.keys.rows])
            means.append(F.cosine_similarity(queries[:, None, 4 * group : 4 * group + 4], keys[None], dim=2))
        mean = torch.stack(means).mean(0)
        found = learner.instructed(images, queries)
        for image in range(len(images)):
            backbone = tiny_backbone()
            blocks: Any = backbone.model.blocks
            for number, block in enumerate(blocks):
                for slot in range(6):
                    change = learner.lora.b[slot][number] @ learner.lora.a[slot][number]
                    block.attn.qkv.weight.add_(mean[image, slot] / mean[image].sum() * change)
            torch.testing.assert_close(found[image], backbone(images[image : image + 1])[0], rtol=0, atol=1e-4)


def test_images_of_a_given_task_use_the_slots_of_that_task(learn: Learn) -> None:
    learner = slm(retrieval="task")
    learn(learner, tiny_stream(), 3)
    images = learner.backbone.transform(pixels())
    for task in range(3):
        own, shares = slice(2 * task, 2 * task + 2), torch.zeros(len(images), 6)
        with torch.no_grad():
            queries = learner.backbone(images).reshape(len(images), 4, 1, 4)
            mean = F.cosine_similarity(queries, learner.keys.rows[task][None], dim=3).mean(1)
            shares[:, own] = mean / mean.sum(1, keepdim=True)
            expected = learner.head(learner.lora(learner.backbone, images, shares))
        torch.testing.assert_close(learner.predict_images(pixels(), task), expected, rtol=0, atol=1e-5)


def test_the_memory_grows_by_the_slots_of_a_task(learn: Learn) -> None:
    learner = slm()
    sizes = learn(learner, tiny_stream(), 3, lambda s, view: s.stored()["parameters"])
    slot = 2 * (3 * 16 + 48 * 3) + 16  # two blocks: A [3, 16], B [48, 3]; one key
    head = 2 * 17
    assert [later - earlier for earlier, later in pairwise(sizes)] == [4 * (2 * slot + head)] * 2


# ------------------------------------------------------------------------------------------------------- training


def test_what_each_fit_is_given(learn: Learn, fits: list[dict[str, Any]]) -> None:
    learner = slm()
    learn(learner, tiny_stream(), 2)
    assert [fit["phase"] for fit in fits] == ["keys", "train"] * 2
    for task, (keys, train) in enumerate(zip(fits[::2], fits[1::2], strict=True)):
        assert [parameter is learner.keys.rows[task] for parameter in keys["params"]] == [True]
        assert type(keys["optimizer"](keys["params"])) is torch.optim.AdamW and keys["clip"] == 0.1
        own = {
            id(factor)
            for part in (learner.lora.a, learner.lora.b)
            for slot in part[2 * task : 2 * task + 2]
            for factor in slot
        }
        heads = {id(parameter) for parameter in learner.head.parameters()}
        assert {id(parameter) for parameter in train["params"]} - heads == own
        assert same(keys["before"]["lora"], keys["after"]["lora"])
        assert same(train["before"]["keys"], train["after"]["keys"])


def test_keys_move_towards_the_queries_of_their_task(learn: Learn) -> None:
    learner, stream = slm(key_epochs=5, key_dropout=0.0), tiny_stream()
    nearer = []

    def look(learner: SLM, view: Any) -> None:
        queries = learner.encode(view.train)
        now = learner.keys.similarities(queries, -1).mean()
        fresh = slm()
        fresh.setup(stream.info)
        fresh.trainer.journal.begin(view.task)
        fresh.keys.grow(2, fresh.init_rng("keys"))
        nearer.append(float(now - fresh.keys.similarities(queries).mean()))

    learn(learner, stream, 2, look)
    assert all(gain > 0.05 for gain in nearer)


def test_one_task_equals_a_plain_loop(learn: Learn) -> None:
    """Weights of slots by cosines, changes of qkv per image, SGD on slots and head."""
    backbone = tiny_backbone()
    for module in backbone.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    learner = SLM(SLM.Options(**{**FAST, "epochs": 2, "clip": 0.0, "batch_size": 12}), backbone, Trainer())
    batches: list[Any] = []
    starts: list[Any] = []
    objective = SLM.objective

    def traced(self: SLM, batch: Any, task: int, classes: Any) -> Tensor:
        if not batches:
            starts.append(state.clone([self.lora.get_state(), self.head.get_state()]))
        batches.append(batch)
        return objective(self, batch, task, classes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SLM, "objective", traced)
        learn(learner, tiny_stream(), 1)
    (lora, head), model = starts[0], tiny_backbone().model
    held = {f"{kind}{s}.{n}": lora[kind][s][n] for kind in "ab" for s in range(2) for n in range(2)}
    held |= {"weight": head["weights"][0], "bias": head["biases"][0]}
    speed = {name: torch.zeros_like(value) for name, value in held.items()}
    for batch in batches:
        leaves = {name: value.detach().requires_grad_(True) for name, value in held.items()}
        with torch.no_grad():
            queries = model(batch.x).reshape(len(batch), 4, 1, 4)
            mean = F.cosine_similarity(queries, learner.keys.rows[0][None], dim=3).mean(1)
            shares = mean / mean.sum(1, keepdim=True)  # two slots, both of which are used
        features = []
        for image, share in zip(batch.x, shares, strict=True):
            mixed = {}
            for n in range(2):
                name = f"blocks.{n}.attn.qkv.weight"
                change = sum(share[s] * leaves[f"b{s}.{n}"] @ leaves[f"a{s}.{n}"] for s in range(2))
                mixed[name] = model.get_parameter(name) + change
            features.append(torch.func.functional_call(model, mixed, (image[None],))[0])
        logits = torch.stack(features) @ leaves["weight"].T + leaves["bias"]
        found = torch.autograd.grad(F.cross_entropy(logits, batch.y), list(leaves.values()))
        for (name, value), gradient in zip(held.items(), found, strict=True):
            speed[name] = 0.9 * speed[name] + gradient
            held[name] = value - 0.05 * speed[name]
    for kind in "ab":
        for s in range(2):
            for n in range(2):
                ours = getattr(learner.lora, kind)[s][n]
                torch.testing.assert_close(ours, held[f"{kind}{s}.{n}"], rtol=0, atol=1e-4)
    torch.testing.assert_close(learner.head.blocks[0].weight, held["weight"], rtol=0, atol=1e-4)


# -------------------------------------------------------------------------------------------------------- refusals


def test_ranks_and_groups_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match=r"rank=17 does not fit layer blocks\.0\.attn\.qkv"):
        slm(rank=17).setup(tiny_stream().info)
    with pytest.raises(UsageError, match="groups=5 does not divide the 16 features"):
        slm(groups=5).setup(tiny_stream().info)


def test_the_preset_has_the_values_of_the_authors_code() -> None:
    o = make_plan("slm", "split-cifar100", "vit_base_patch16_224.augreg_in21k").options
    assert (o.slots, o.top, o.rank, o.groups) == (4, 4, 12, 6)
    assert (o.epochs, o.batch_size, o.lr, o.clip) == (5, 8, 3e-4, 1.0)
    assert (o.key_epochs, o.key_batch_size, o.key_lr, o.key_top, o.key_dropout) == (3, 8, 5e-4, 2, 0.25)
