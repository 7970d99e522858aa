"""Finetune-dynamic: which network a task starts from."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from cl.bases.network_per_task import SCRATCH
from cl.strategies.finetune_dynamic import FinetuneDynamic
from cl.strategies.independent import Independent
from cl.training import state
from tests.help.compare import same
from tests.help.network_per_task import learned, learner, network, starts, stream

Learn = Callable[..., list[Any]]


@pytest.mark.parametrize(
    ("scores", "source"),
    [([0.4, 0.6, 0.5], 1), ([0.6, 0.6, 0.6], 1), ([0.7, 0.6, 0.1], 0), ([0.4, 0.5, 0.51], SCRATCH)],
)
def test_dynamic_starts_from_the_best_ranked_network(learn: Learn, scores: list[float], source: int) -> None:
    """The last score is the untrained network's: a task starts from scratch only if it is strictly best."""
    strategy = learner(FinetuneDynamic)
    look, search = starts(strategy), strategy._search  # type: ignore[attr-defined]
    vars(strategy)["_search"] = lambda view: scores if view.task == 2 else search(view)
    networks = learn(strategy, stream(), 3, lambda s, v: network(s))
    assert strategy.history[2]["source"] == source
    if source == SCRATCH:
        assert not any(same(look[4], {k: v for k, v in each.items() if k in look[4]}) for each in networks)
        assert same(look[4], learned(Independent, learn, 3)[1][4])
    else:
        assert same(look[4], {name: networks[source][name] for name in look[4]})


def test_the_search_ranks_by_nearest_neighbours_in_evaluation_mode(learn: Learn) -> None:
    """Each score is that of a plain vote of five neighbours; a network that maps all images to a point is the worst."""
    images = stream(train_per_class=100)
    strategy = learner(FinetuneDynamic, trials=1)
    learn(strategy, images, 2)
    view = images.view(2)
    strategy.trainer.journal.begin(2)
    strategy.networks.add(strategy.backbone)
    strategy.head.add(view.classes, torch.Generator())
    with torch.no_grad():
        for name, tensor in strategy.networks.tensors[0].items():
            if name == "norm.weight":
                tensor.zero_()  # constant features: neighbours are whoever comes first
    modes = []
    handle = strategy.backbone.model.register_forward_hook(lambda module, *_: modes.append(module.training))
    constant, trained, untrained = strategy._search(view)  # type: ignore[attr-defined]
    handle.remove()
    assert modes and not any(modes)
    assert view.val is not None
    shares = view.val.labels.bincount() / len(view.val)
    assert any(math.isclose(constant, share, rel_tol=1e-6) for share in shares.tolist()), "all have the same neighbours"
    kept = strategy.networks.tensors[1], state.clone(dict(strategy.backbone.model.state_dict()))
    for score, tensors in zip((trained, untrained), kept, strict=True):
        strategy.backbone.set_state(tensors)
        with torch.no_grad():
            one, two = (strategy.backbone(strategy.backbone.transform(each.pixels(slice(None)))).double()
                        for each in (view.train, view.val))  # fmt: skip
        votes = view.train.labels[torch.cdist(two, one).topk(5, largest=False).indices].mode(1).values
        assert score == pytest.approx(float((votes == view.val.labels).double().mean())) and score > constant


def test_the_record_has_the_ranking_of_every_task_but_the_first(learn: Learn) -> None:
    strategy: Any = learner(FinetuneDynamic, trials=1, search_train=5, search_val=4)
    learn(strategy, stream(), 3)
    report = strategy.report()
    ranks = {name: value for name, value in report.items() if ".knn" in name}
    assert set(ranks) == {f"task{t}.knn{k}" for t, k in ((1, 0), (2, 0), (2, 1))} | {
        f"task{t}.knn_untrained" for t in (1, 2)
    }
    assert all(value in (0, 0.25, 0.5, 0.75, 1) for value in ranks.values()), "shares of four validation images"
    assert report["task0.source"] == SCRATCH and strategy.ranking[0] == [0.0]


def test_the_search_has_the_size_of_the_authors_code() -> None:
    o = FinetuneDynamic.Options()
    assert (o.neighbours, o.search_train, o.search_val) == (5, 10_000, 5_000)
