"""The key-value bottleneck: which values training changes, and that task boundaries do not matter."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cl.errors import UsageError
from cl.plan.plan import make_plan
from cl.strategies.kvb import KVB
from cl.strategy import Inputs, StoredImages
from cl.stream import Evaluate, Stream, Train
from tests.conftest import make, tiny_stream

SMALL: dict[str, Any] = {
    "codebooks": 6, "pairs": 20, "key_dim": 4, "key_images": 64, "key_epochs": 3, "batch_size": 8, "epochs": 3,
    "lr": 5.0,
}  # fmt: skip


def small(**options: Any) -> KVB:
    return make(KVB, **{**SMALL, **options})


def scores(learner: KVB, stream: Stream, rows: np.ndarray, split: str = "test") -> torch.Tensor:
    source = StoredImages(learner.trainer.encodings, stream.store(split), rows)
    with torch.no_grad():
        return learner.predict(Inputs(None, "cpu", source))


def set_up(learner: KVB, stream: Stream) -> KVB:
    learner.info = stream.info
    learner.setup(stream.info)
    return learner


def test_keys_projections_and_encoder_stay_bit_identical_and_only_fetched_values_change() -> None:
    learner, stream = small(), tiny_stream()
    set_up(learner, stream)
    keys, projections = learner.pairs.keys.clone(), learner.pairs.projections.clone()
    values = [learner.pairs.values.detach().clone()]
    assert not bool(values[0].any())

    for task in range(3):
        learner.trainer.journal.begin(task)
        view = stream.view(task)
        learner.learn(view)
        assert learner.backbone.is_pristine
        assert torch.equal(learner.pairs.keys, keys)
        assert torch.equal(learner.pairs.projections, projections)
        fetched = torch.zeros(6 * 20, dtype=torch.bool)
        fetched[learner.pairs.nearest(learner.encode(view.train)).flatten().long()] = True
        new = learner.pairs.values.detach().clone()
        assert torch.equal((new != values[-1]).any(1), fetched)
        assert bool((~fetched).any())
        never = (learner.pairs.hits == 0).flatten()
        assert bool(never.any())
        assert not bool(new[never].any())
        assert len(learner.coefficients) == 0
        values.append(new)


def test_both_ways_of_training_give_the_same_values(learn: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for most in (8192, 0):
        monkeypatch.setattr(KVB, "most_overlaps", most)
        learner = small(clip=0.05)
        learn(learner, tiny_stream(), 3)
        found.append(learner.pairs.values.detach())
    assert bool(found[0].any())
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=1e-5)


def test_logits_before_training_are_zero() -> None:
    learner, stream = set_up(small(), tiny_stream()), tiny_stream()
    assert not learner.ready
    rows = np.arange(5)
    assert torch.equal(scores(learner, stream, rows), torch.zeros(5, 10))
    fetched = learner.pairs.nearest(learner.encode(stream.view(0).train))
    assert not bool(learner.pairs.read(fetched).any())


def test_hits_are_samples_times_codebooks(learn: Any) -> None:
    learner, images = small(), []
    learn(learner, tiny_stream(), 2, lambda learner, view: images.append(len(view.train)))
    assert int(learner.pairs.hits.sum()) == sum(images) * 3 * 6
    assert learner.ready


def test_prediction_reads_used_pairs_only(learn: Any) -> None:
    learner, stream = small(), tiny_stream()
    learn(learner, stream, 1)
    features = learner.trainer.encodings.get(learner.backbone, stream.store("test"), np.arange(40), torch.device("cpu"))
    unmasked, hits = learner.pairs.nearest(features), learner.pairs.hits.view(-1)
    hits[::2], hits[1::2] = 0, 1
    hits[unmasked[0].long()] = 0  # none of the pairs nearest to the first image was used
    with torch.no_grad():
        learner.pairs.values.normal_(generator=torch.Generator().manual_seed(0))
    masked = learner.pairs.nearest(features, used=True)
    assert bool((hits[masked.long()] > 0).all())
    apart = torch.cdist(learner.pairs.queries(features), learner.pairs.keys)
    nearest = apart.masked_fill(learner.pairs.hits[:, None] == 0, float("inf")).amin(2)
    found = apart.gather(2, (masked.T % 20).long()[..., None])[..., 0]
    torch.testing.assert_close(found, nearest)
    read = scores(learner, stream, np.arange(40))
    assert torch.equal(read, learner.pairs.read(masked))
    assert not torch.allclose(read[0], learner.pairs.read(unmasked)[0])


def test_prediction_changes_nothing(learn: Any) -> None:
    learner, stream = small(), tiny_stream()
    learn(learner, stream, 2)
    hits = learner.pairs.hits.clone()
    first = scores(learner, stream, np.arange(30))
    assert torch.equal(scores(learner, stream, np.arange(30)), first)
    assert torch.equal(learner.pairs.hits, hits)


def disjoint(learner: KVB, stream: Stream) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two sets of training images that share no pair."""
    rows = np.sort(np.concatenate([experience.train for experience in stream.experiences]))
    features = learner.trainer.encodings.get(learner.backbone, stream.store("train"), rows, torch.device("cpu"))
    fetched = learner.pairs.nearest(features)
    shared = (fetched[:, None] == fetched[None]).any(-1)
    for start in range(len(rows)):
        one = shared[start].nonzero().flatten()
        others = (~shared[one].any(0)).nonzero().flatten()
        if len(one) > 1 and len(others) > 1:
            return rows[one.numpy()], rows[others.numpy()]
    raise AssertionError("no disjoint sets: choose more pairs")


def train_on(learner: KVB, stream: Stream, *sets: np.ndarray) -> KVB:
    """Learn the given rows, each set as one experience."""
    every = tuple(range(10))
    experiences = tuple(dataclasses.replace(stream.experiences[0], train=rows, classes=every) for rows in sets)
    chosen = dataclasses.replace(
        stream, experiences=experiences, events=(*(Train(i) for i in range(len(sets))), Evaluate((0,)))
    )
    set_up(learner, chosen)
    for task in range(len(sets)):
        learner.trainer.journal.begin(task)
        learner.learn(chosen.view(task))
    return learner


FINE = {
    "pairs": 400,
    "key_dim": 6,
    "codebooks": 2,
    "own_images": True,
    "keys_from": "split-digits",
    "key_images": 300,
    "batch_size": 256,
}


def test_images_without_a_common_pair_do_not_interfere_in_any_order() -> None:
    stream = tiny_stream()
    one, two = disjoint(set_up(small(**FINE), stream), stream)
    only, then, first = (train_on(small(**FINE), stream, *sets) for sets in ((one,), (one, two), (two, one)))
    reads = [
        learner.pairs.read(learner.pairs.nearest(learner.encode(stream.view(0).train))) for learner in (only, then)
    ]
    assert not torch.equal(*reads)  # the second set did train something
    features = only.trainer.encodings.get(only.backbone, stream.store("train"), one, torch.device("cpu"))
    fetched = only.pairs.nearest(features)
    assert torch.equal(then.pairs.read(fetched), only.pairs.read(fetched))
    assert bool(only.pairs.read(fetched).any())
    torch.testing.assert_close(first.pairs.values, then.pairs.values, rtol=0, atol=1e-6)


def test_task_boundaries_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same images in the same order, cut into three experiences or not: the same learner."""
    monkeypatch.setattr(torch, "randperm", lambda count, generator=None: torch.arange(count))
    stream = tiny_stream()
    rows = np.concatenate([experience.train for experience in stream.experiences])
    rows = rows[np.random.default_rng(0).permutation(len(rows))][:48]
    whole = train_on(small(epochs=1), stream, rows)
    parts = train_on(small(epochs=1), stream, *np.split(rows, 3))
    assert torch.equal(whole.pairs.hits, parts.pairs.hits)
    assert bool(whole.pairs.values.any())
    torch.testing.assert_close(whole.pairs.values, parts.pairs.values, rtol=0, atol=1e-6)


def test_there_is_a_column_for_every_class_of_the_stream(learn: Any) -> None:
    learner, stream = small(), tiny_stream()
    learn(learner, stream, 1)
    assert scores(learner, stream, np.arange(3)).shape == (3, 10)
    assert KVB.rules == ("cil_seen", "cil_all", "til_masked")


def test_key_images_of_the_stream_need_an_option_and_are_marked() -> None:
    with pytest.raises(UsageError, match="own_images=true"):
        set_up(small(keys_from="split-digits"), tiny_stream())
    set_up(small(keys_from="split-digits", own_images=True), tiny_stream())
    assert KVB.marks(KVB.Options()) == ()
    assert KVB.marks(KVB.Options(own_images=True)) == ("saw-later-images",)


def test_a_killed_run_needs_no_images_for_keys_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = tiny_stream()
    first = set_up(make(KVB, folder=tmp_path, **SMALL), stream)
    monkeypatch.setattr("cl.strategies.kvb.unlabelled", lambda *arguments: pytest.fail("the keys are in the journal"))
    again = set_up(make(KVB, folder=tmp_path, **SMALL), stream)
    assert torch.equal(first.pairs.keys, again.pairs.keys)


def test_presets_are_the_published_ones() -> None:
    plan = make_plan("kvb", "split-cifar100", "vit_base_patch32_clip_224.openai")
    o = plan.options
    assert (o.codebooks, o.pairs, o.key_dim, o.epochs, o.keys_from) == (256, 4096, 14, 500, "split-cifar10")
    assert plan.stream_options.increment == 2
    assert (o.lr, o.clip, o.batch_size, o.label_smoothing, o.key_epochs, o.decay, o.dead) == (
        0.3, 1.0, 256, 0.1, 10, 0.95, 0.1,
    )  # fmt: skip
    assert make_plan("kvb", "split-cifar10", "vit_base_patch32_clip_224.openai").options.epochs == 2000


@pytest.mark.parametrize(
    ("stream", "backbone"), [("split-cifar10", "resnet50.a1_in1k"), ("split-cifar100", "resnet50.a1_in1k")]
)
def test_the_published_presets_shuffle_classes_as_the_code(stream: str, backbone: str) -> None:
    plan = make_plan("kvb", stream, backbone)
    assert plan.values["stream.order"].value == "python"
    assert make_plan("kvb", stream).values["stream.order"].value == "pycil", "only the published configurations"
