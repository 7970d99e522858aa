"""Continual LayerNorm tuning: the invariants of the paper, and routing against a loop over single images."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from cl.backbone import Backbone, load
from cl.errors import UsageError
from cl.strategies.layernorm import LayerNormTuning
from cl.strategy import Inputs
from cl.stream import Stream
from cl.testing import tiny_backbone
from cl.training import state
from cl.training.trainer import Trainer
from tests.conftest import make, run, tiny_stream

Learn = Callable[..., list[Any]]
FAST: dict[str, Any] = {
    **{"epochs": 1, "key_epochs": 2, "rectify_epochs": 1, "batch_size": 16, "lr": 0.01, "augment": "crop"},
}
both = pytest.mark.parametrize("stages", ["two", "one"])


def layernorm(**options: Any) -> LayerNormTuning:
    return make(LayerNormTuning, **{**FAST, **options})


def watch_fits(learner: LayerNormTuning, look: Callable[[], Any]) -> list[tuple[str, Any, Any]]:
    """Collect (phase, `look()` before, `look()` after) of each fit."""
    calls: list[tuple[str, Any, Any]] = []
    fit = learner.trainer.fit

    def watched(strategy: Any, phase: str, spec: Any) -> Any:
        before = state.clone(look())
        result = fit(strategy, phase, spec)
        calls.append((phase, before, state.clone(look())))
        return result

    vars(learner.trainer)["fit"] = watched
    return calls


def doubled(learner: LayerNormTuning, tasks: int) -> LayerNormTuning:
    """A learner in float64 with scrambled norms, where rounding cannot decide a route."""
    learner.info = tiny_stream().info
    learner.setup(learner.info)
    for _ in range(tasks):
        learner.norms.grow(learner.backbone)
    generator = torch.Generator().manual_seed(3)
    for parameter in learner.norms.parameters():
        parameter.data.add_(0.5 * torch.randn(parameter.shape, generator=generator))
    for module in state.modules_of(learner):
        module.double()
    return learner


def images(count: int = 7, size: int = 8) -> Tensor:
    return torch.randn(count, 3, size, size, dtype=torch.float64, generator=torch.Generator().manual_seed(5))


# -------------------------------------------------------------------------------------------------------- routing


class ByHand(nn.Module):
    """A LayerNorm that picks the task by the cosine of the attended class token, written out for one image."""

    def __init__(self, learner: LayerNormTuning, site: int) -> None:
        super().__init__()
        self.held, self.site, self.chosen = [learner], site, -1

    def forward(self, x: Tensor) -> Tensor:
        learner, best = self.held[0], -2.0
        for task in range(len(learner.norms)):
            assert learner.attention is not None
            query = x[0, 0] * learner.attention.rows[task][self.site]
            key = learner.keys.rows[task][self.site]
            cosine = float((query * key).sum() / (query.square().sum().sqrt() * key.square().sum().sqrt()))
            if cosine > best:
                best, self.chosen = cosine, task
        normal = (x - x.mean(-1, keepdim=True)) / (x.var(-1, unbiased=False, keepdim=True) + 1e-6).sqrt()
        norms = learner.norms
        return normal * norms.weights[self.chosen][self.site] + norms.biases[self.chosen][self.site]


def test_one_stage_routes_each_image_at_each_site() -> None:
    learner = doubled(layernorm(stages="one"), 3)
    x, chosen = images(12), set()
    with torch.no_grad():
        for parameter in learner.backbone.model.get_submodule("blocks").parameters():
            parameter.mul_(20)  # untrained blocks leave the class token nearly as it is
        together = learner.features(x)
        stock = copy.deepcopy(learner.backbone)
        for site, name in enumerate(learner.norms.names):
            parent, _, own = name.rpartition(".")
            setattr(stock.model.get_submodule(parent), own, ByHand(learner, site))
        for image, features in zip(x, together, strict=True):
            assert torch.allclose(stock(image[None])[0], features, atol=1e-9)
            chosen.add(tuple(m.chosen for m in stock.modules() if isinstance(m, ByHand)))
    assert len(chosen) > 1 and any(len(set(route)) > 1 for route in chosen), "the test must see different routes"


def test_two_stages_route_by_the_cosine_of_the_pretrained_features() -> None:
    learner = doubled(layernorm(), 3)
    x = images(12)
    with torch.no_grad():
        queries = learner.backbone(x)
        for task, key in enumerate(queries[:3]):  # each task has the key of an image, which goes to that task then
            learner.keys.rows[task][0] = key
        together = learner.features(x)
        keys = torch.stack([row[0] for row in learner.keys.rows[:3]])
        chosen = (F.normalize(queries) @ F.normalize(keys).T).argmax(1).tolist()
        for image, task, features in zip(x, chosen, together, strict=True):
            assert torch.allclose(learner.norms(learner.backbone, image[None], task)[0], features, atol=1e-10)
        told = torch.stack([learner.norms(learner.backbone, x, task) for task in range(3)])
    assert chosen[:3] == [0, 1, 2] and float((told - together).abs().amax((1, 2)).min()) > 0.1, "routes must differ"


def test_similarity_averages_the_sites_of_a_block_then_blocks_and_the_final_norm() -> None:
    learner = doubled(layernorm(stages="one"), 2)
    sites: list[Tensor] = []

    def look(site: int, x: Tensor) -> int:
        assert learner.attention is not None
        query = x[:, 0] * learner.attention.rows[1][site]
        sites.append(F.cosine_similarity(query, learner.keys.rows[1][site], dim=-1).mean())
        return 1

    with torch.no_grad():
        features, similar = learner.forced(images(), 1)
        assert torch.equal(features, learner.norms(learner.backbone, images(), look))
    blocks = [(sites[0] + sites[1]) / 2, (sites[2] + sites[3]) / 2]
    assert torch.allclose(similar, (sum(blocks) + sites[4]) / 3)


# ------------------------------------------------------------------------------------------------------- learning


@both
def test_learning_leaves_the_backbone_and_earlier_norms_bit_identical(stages: str, learn: Learn) -> None:
    learner, fresh = layernorm(stages=stages), tiny_backbone()
    seen = learn(learner, tiny_stream(), 3, lambda s, v: state.clone(s.norms.get_state()))
    for task, name in ((0, "weights"), (0, "biases"), (1, "weights"), (1, "biases")):
        assert all(torch.equal(later[name][task], seen[task][name][task]) for later in seen[task:])
        assert not torch.equal(seen[task][name][task], seen[task + 1][name][task + 1]), "the next task's did move"
    assert learner.backbone.is_pristine
    assert all(
        torch.equal(a, b) for a, b in zip(learner.backbone.parameters(), fresh.parameters(), strict=True)
    )  # fmt: skip


@both
def test_norms_start_from_the_task_before_and_at_first_from_the_pretrained(stages: str, learn: Learn) -> None:
    learner = layernorm(stages=stages)
    calls = watch_fits(learner, lambda: learner.norms.get_state())
    learn(learner, tiny_stream(), 3)
    trained = [(before, after) for phase, before, after in calls if phase == "norms"]
    stock = [cast(nn.LayerNorm, tiny_backbone().model.get_submodule(name)) for name in learner.norms.names]
    assert torch.equal(trained[0][0]["weights"][0], torch.stack([norm.weight for norm in stock]))
    assert torch.equal(trained[0][0]["biases"][0], torch.stack([norm.bias for norm in stock]))
    for task in (1, 2):
        assert torch.equal(trained[task][0]["weights"][task], trained[task - 1][1]["weights"][task - 1])
        assert torch.equal(trained[task][0]["biases"][task], trained[task - 1][1]["biases"][task - 1])


@both
def test_training_keys_changes_only_the_row_of_the_task(stages: str, learn: Learn) -> None:
    learner = layernorm(stages=stages)
    calls = watch_fits(learner, lambda: [[row.detach() for row in keys.rows] for keys in learner._keys])
    learn(learner, tiny_stream(), 3)
    phases = [call for call in calls if call[0] == ("key" if stages == "two" else "norms")]
    assert len(phases) == 3
    for task, (_, before, after) in enumerate(phases):
        for old, new in zip(before, after, strict=True):
            assert [not torch.equal(a, b) for a, b in zip(old, new, strict=True)] == [t == task for t in range(5)]
    assert all(_same(before, after) for phase, before, after in calls if phase == "rectification")


def _same(one: Any, two: Any) -> bool:
    return all(torch.equal(a, b) for old, new in zip(one, two, strict=True) for a, b in zip(old, new, strict=True))


def test_the_key_fit_turns_the_key_towards_memoised_queries(learn: Learn) -> None:
    learner = layernorm(key_epochs=30)
    counted = _count(learner)
    calls = watch_fits(learner, lambda: [learner.keys.rows[0].detach(), counted["images"]])
    learn(learner, tiny_stream(), 1)
    phase, (before, passes), (after, passes_after) = calls[0]
    assert phase == "key" and passes_after == passes, "queries are those of the pretrained model, computed before"
    queries = learner.encode(tiny_stream().view(0).train)
    near = [float(F.cosine_similarity(queries, key).mean()) for key in (before, after)]
    assert near[1] > near[0] + 0.2


@both
def test_rectification_trains_the_task_rows_of_the_deployed_head_alone(stages: str, learn: Learn) -> None:
    learner = layernorm(stages=stages)

    def look() -> Any:
        assert learner.fake_head is not None
        return {
            "norms": learner.norms.get_state(),
            "head": learner.head.get_state(),
            "fake": learner.fake_head.get_state(),
        }

    calls = watch_fits(learner, look)
    learn(learner, tiny_stream(), 2)
    first = calls[0][1]
    assert torch.equal(first["head"]["weights"][0], first["fake"]["weights"][0]), "copies of one draw"
    for phase, before, after in calls:
        moved = {name for name in before if _moved(before[name], after[name])}
        assert moved == {"key": set(), "norms": {"norms", "fake"}, "rectification": {"head"}}[phase]
    for head in ("head", "fake"):
        assert torch.equal(calls[2][2][head]["weights"][0], calls[-1][2][head]["weights"][0]), "local softmax"


def _moved(one: Any, two: Any) -> bool:
    return any(not torch.equal(a, b) for name in one for a, b in zip(one[name], two[name], strict=True))


@both
def test_norms_train_with_the_task_forced_and_the_head_with_the_routing_of_prediction(
    stages: str, learn: Learn
) -> None:
    learner, stream = layernorm(stages=stages), tiny_stream()
    learner.info = stream.info
    learner.setup(stream.info)
    routes: list[Any] = []
    calls = watch_fits(learner, lambda: len(routes))
    forward = learner.norms.forward

    def watched(backbone: Backbone, x: Tensor, route: Any) -> Tensor:
        routes.append(route)
        return forward(backbone, x, route)

    vars(learner.norms)["forward"] = watched
    for task in (0, 1):
        learner.trainer.journal.begin(task)
        learner.learn(stream.view(task))
    phases = len(calls) // 2
    for (phase, first, last), task in zip(calls, [0] * phases + [1] * phases, strict=True):
        during = routes[first:last]
        if phase == "norms":
            assert during == [task] * len(during) if stages == "two" else all(map(callable, during))
        if phase == "rectification":
            assert during and all(isinstance(route, Tensor) if stages == "two" else callable(route) for route in during)


@both
def test_without_rectification_the_deployed_head_trains_the_norms(stages: str, learn: Learn) -> None:
    learner = layernorm(stages=stages, rectify=False)
    calls = watch_fits(learner, lambda: learner.head.get_state())
    learn(learner, tiny_stream(), 2)
    assert learner.fake_head is None and "rectification" not in [call[0] for call in calls]
    assert all(_moved(before, after) for phase, before, after in calls if phase == "norms")


def learner_rows(learner: LayerNormTuning) -> Callable[[], Tensor]:
    return lambda: torch.stack([row.detach() for row in learner.keys.rows])


def test_keys_start_orthonormal_and_a_new_task_copies_them_if_told(learn: Learn) -> None:
    for stages, new_key, copies in (("two", "auto", False), ("one", "auto", True), ("two", "copied", True)):
        learner = layernorm(stages=stages, new_key=new_key)
        calls = watch_fits(learner, learner_rows(learner))
        learn(learner, tiny_stream(), 2)
        drawn = calls[0][1]
        for site in range(drawn.shape[1]):
            assert torch.allclose(drawn[:, site] @ drawn[:, site].T, torch.eye(5), atol=1e-5)
        second = [call for call in calls if call[0] in ("key", "norms")][2 if stages == "two" else 1][1]
        assert torch.equal(second[1], second[0] if copies else drawn[1])


@pytest.mark.parametrize("detach", [False, True])
def test_similarity_trains_the_norms_unless_queries_are_detached(detach: bool) -> None:
    learner = doubled(layernorm(stages="one", detach_query=detach), 1)
    weight, key = learner.norms.weights[0].requires_grad_(True), learner.keys.rows[0].requires_grad_(True)
    learner.forced(images(), 0)[1].backward()
    assert key.grad is not None and bool(key.grad.any())
    assert (weight.grad is None or not bool(weight.grad.any())) == detach


# ----------------------------------------------------------------------------------------------------- prediction


def _count(learner: LayerNormTuning) -> dict[str, int]:
    """How many images went through the backbone."""
    counted = {"images": 0}

    def hook(module: nn.Module, args: tuple[Tensor]) -> None:
        counted["images"] += len(args[0])

    learner.backbone.register_forward_pre_hook(hook)
    return counted


@pytest.mark.parametrize(("stages", "passes"), [("two", 2), ("one", 1)])
def test_forwards_per_test_image(stages: str, passes: int, learn: Learn) -> None:
    learner, stream = layernorm(stages=stages), tiny_stream()
    learn(learner, stream, 2)
    counted = _count(learner)
    with torch.no_grad():
        learner.predict(_inputs(stream, 2))
    assert counted["images"] == passes * len(_inputs(stream, 2))


def _inputs(stream: Stream, tasks: int) -> Inputs:
    rows, _, _ = stream.test_rows(range(tasks))
    return Inputs(torch.from_numpy(stream.dataset.test.pixels[rows]).permute(0, 3, 1, 2))


@both
def test_with_one_task_the_route_is_that_task(stages: str, learn: Learn) -> None:
    learner, stream = layernorm(stages=stages), tiny_stream()
    learn(learner, stream, 1)
    inputs = _inputs(stream, 2)
    with torch.no_grad():
        features = learner.backbone(inputs.images(learner.backbone.transform))
        assert learner._nearest(0, features).tolist() == [0] * len(inputs)
        assert torch.equal(learner.predict(inputs), learner.predict(inputs, 0))


@both
def test_the_told_task_decides_the_norms(stages: str, learn: Learn) -> None:
    learner, stream = layernorm(stages=stages), tiny_stream()
    learn(learner, stream, 2)
    inputs = _inputs(stream, 2)
    pixels = inputs.images(learner.backbone.transform)
    with torch.no_grad():
        for task in (0, 1):
            expected = learner.head(learner.norms(learner.backbone, pixels, task))
            assert torch.equal(learner.predict(inputs, task), expected)
        assert torch.equal(learner.predict(inputs, 4), learner.predict(inputs, 1)), "a task to come: the last one's"
        assert not torch.equal(learner.predict(inputs, 0), learner.predict(inputs, 1))


def test_extractors_have_keys_of_their_own_that_change_with_the_weights(learn: Learn) -> None:
    learner = layernorm(stages="one")
    learn(learner, tiny_stream(), 2)
    made = [learner._told(0), learner._told(1), learner._deployed()]
    assert len({extractor.key for extractor in made}) == 3 and learner._told(0).key == made[0].key
    assert not any(":pristine:" in extractor.key or extractor.is_pristine for extractor in made)
    with torch.no_grad():
        learner.keys.rows[1].add_(1)
    assert learner._deployed().key != made[2].key


@both
def test_restoring_a_state_adds_and_removes_norms(stages: str, learn: Learn) -> None:
    one, three = layernorm(stages=stages), layernorm(stages=stages)
    states = learn(three, tiny_stream(), 3, lambda s, v: state.clone(s.get_state()))
    learn(one, tiny_stream(), 1)
    inputs = _inputs(tiny_stream(), 3)
    with torch.no_grad():
        one.set_state(states[2])
        assert len(one.norms) == 3 and torch.equal(one.predict(inputs), three.predict(inputs))
        one.set_state(states[0])
        assert len(one.norms) == 1 and one.predict(inputs).shape[1] == 2


# ----------------------------------------------------------------------------------------------- what is refused


def test_one_stage_needs_a_class_token_and_two_stages_do_not(learn: Learn) -> None:
    model = VisionTransformer(
        img_size=8,
        patch_size=4,
        embed_dim=16,
        depth=2,
        num_heads=2,
        num_classes=0,
        class_token=False,
        global_pool="avg",
    )
    tiny = tiny_backbone()
    for stages in ("one", "two"):
        backbone = Backbone(copy.deepcopy(model), tiny.transform, tiny.identity)
        learner = LayerNormTuning(LayerNormTuning.Options(**FAST, stages=stages), backbone, Trainer())
        if stages == "one":
            with pytest.raises(UsageError, match=r"no class token.*set stages=two"):
                learner.setup(tiny_stream().info)
        else:
            learn(learner, tiny_stream(), 2)
            assert learner.norms.names[-1] == "fc_norm" and learner.predict(_inputs(tiny_stream(), 2)).shape[1] == 4


# ------------------------------------------------------------------------------------------------------ real digits


@pytest.mark.slow
@both
def test_told_tasks_are_an_upper_bound_on_real_digits(stages: str, tmp_path: Path) -> None:
    options = {**FAST, "epochs": 3, "key_epochs": 20, "rectify_epochs": 3, "lr": 0.0025, "rectify_lr": 0.01}
    learner = LayerNormTuning(
        LayerNormTuning.Options(**options, stages=stages), load("vit_micro_patch4_32.tinyimagenet_distill"), Trainer()
    )
    result = run(learner, tiny_stream(train_per_class=30, test_per_class=30), tmp_path, max_tasks=3)["result"]
    found = {rule: sum(result["accuracy"][rule]["correct"][2][:3]) for rule in learner.rules}
    assert found["til_oracle"] >= found["til_masked"] >= found["cil_seen"], found
    assert found["til_oracle"] > 160 and found["cil_seen"] > 70, found  # of 180 images; by chance 90 and 30
