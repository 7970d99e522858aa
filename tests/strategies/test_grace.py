"""GRACE: a finished learner stays as it is, far images keep their answers bit for bit, and corrections hold."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl.cli.app import call
from cl.errors import UsageError
from cl.registry import strategies
from cl.strategies import grace
from cl.strategies.grace import GRACE
from cl.strategies.simplecil import SimpleCIL
from cl.strategy import Inputs
from cl.stream import ImageSet
from cl.testing import check_strategy
from cl.training import state
from tests.bases.test_edited import domains
from tests.conftest import make, run
from tests.help.compare import same

Learn = Callable[..., list[Any]]
TUNED: dict[str, Any] = {
    "base": "finetune", "base_options": {"epochs": 2, "batch_size": 16, "lr": 0.05}, "iterations": 100, "lr": 1.0,
}  # fmt: skip
FAST: dict[str, Any] = {"base": "simplecil", "iterations": 15, "lr": 0.5, "measured": 30, "radius": 0.5}


def edited(**options: Any) -> GRACE:
    return make(GRACE, **{**FAST, **options})


def pixels(stream: Any = None) -> Tensor:
    return torch.from_numpy((stream or domains()).dataset.test.pixels[:40].copy()).permute(0, 3, 1, 2)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"radius": 2.0}, {"edit": "finetune", "iterations": 3, "base": "finetune"}])
def test_it_keeps_the_contract(options: dict[str, Any]) -> None:
    """The codebook grows with the errors, so memory is checked for a given number of corrections."""
    options = {"base": "simplecil", "iterations": 5, "measured": 10, "stream.tasks": 3, **options}
    rest = ["documented", "runs", "declarations", "pure", "batch-independent", "test-blind", "frozen",
            "state-round-trip", "resume", "seeded", "costs"]  # fmt: skip
    check_strategy("grace", stream="permuted-digits", options=options, only=rest)
    check_strategy("grace", stream="permuted-digits", options={**options, "max_edits": 5}, only=["memory"])


def apart(method: GRACE, tasks: int) -> list[float]:
    """Distances between the queries of the training images of the first tasks, the smallest first."""
    images = torch.cat([domains().view(task).train.pixels(slice(None)) for task in range(tasks)])
    with torch.no_grad():
        found = torch.pdist(method._queries()(method.backbone.transform(images)).double())
    return sorted(found.tolist())


# ------------------------------------------------------------------------------------------------------ invariants


def test_before_any_correction_it_is_the_base(learn: Learn) -> None:
    method = edited()
    learn(method, domains(), 1)
    assert torch.equal(method.predict_images(pixels()), method.base.predict_images(pixels()))
    none = edited(max_edits=0)
    learn(none, domains(), 3)
    assert torch.equal(none.predict_images(pixels()), none.base.predict_images(pixels())) and not len(none.codebook)


def test_far_images_keep_their_scores_bit_for_bit_and_the_network_never_changes(learn: Learn) -> None:
    method = edited(radius=1.0)
    before = state.clone(dict(method.backbone.model.state_dict()))
    learn(method, domains(), 3)
    assert same(before, dict(method.backbone.model.state_dict()))
    found, plain = method.predict_images(pixels()), method.base.predict_images(pixels())
    queries = method._queries()(method.backbone.transform(pixels()))
    hit = method.codebook.covers(*method.codebook.nearest(queries))
    assert 0 < int(hit.sum()) < len(hit)
    assert torch.equal(found[~hit], plain[~hit]) and not (found[hit] == plain[hit]).all(1).any()


def test_corrections_succeed_and_hold_and_the_past_is_unchanged_with_small_balls(learn: Learn) -> None:
    method = edited(**TUNED)
    learn(method, domains(), 1)
    method = edited(**TUNED, radius=apart(method, 3)[0] / 4)  # no two balls meet
    learn(method, domains(), 3)
    report = method.report()
    assert report["edits"] == report["keys"] == method.edits > 20
    assert report["edit_success"] == report["edit_retention"] == report["unchanged_answers"] == 1.0


def test_an_image_that_comes_again_gets_no_second_key(learn: Learn) -> None:
    method = edited(**TUNED, radius=1e-3)
    learn(method, domains(), 2)
    keys, edits = len(method.codebook), method.edits
    method.trainer.journal.begin(2)
    method.learn(domains().view(1))
    assert (len(method.codebook), method.edits) == (keys, edits) and keys > 0


def test_of_equal_images_with_different_labels_the_later_correction_holds(learn: Learn) -> None:
    method = edited(**TUNED, radius=0.5)
    learn(method, domains(), 1)
    view = domains().view(1)
    image = view.train.pixels([0])
    answer = int(method.predict_images(image).argmax())
    wrong = [label for label in range(10) if label != answer][:2]
    method.trainer.journal.begin(1)
    for number, label in enumerate(wrong):
        method.correct(ImageSet(view.train.store, view.train.rows[:1], np.array([label])))
        assert int(method.predict_images(image).argmax()) == label
        assert (method.edits, len(method.codebook), method.replaced) == (number + 1, 1, number)
    assert float(method.codebook.radii.min()) > 0 and method.retention()["replaced"] == 1


def test_a_wide_radius_needs_fewer_keys(learn: Learn) -> None:
    method, found = edited(), []
    learn(method, domains(), 1)
    between = apart(method, 2)
    for radius in (between[0] / 4, between[len(between) // 2], 4 * between[-1]):
        method = edited(radius=radius)
        learn(method, domains(), 2)
        found.append(len(method.codebook) / method.edits)
    assert found[0] == 1 > found[1] >= found[2]


# ---------------------------------------------------------------------------------------------------- one by one


@pytest.mark.parametrize("start", ["cold", "warm"])
def test_it_ends_like_a_plain_loop_of_single_edits(learn: Learn, start: str) -> None:
    """The rules of the paper written out, with one forward pass per image and step; batches are of one edit there."""
    method = edited(radius=1.0, start=start)
    learn(method, domains(), 2)
    plain = edited(radius=1.0, start=start)
    learn(plain, domains(), 1)
    plain.trainer.journal.begin(1)
    model, images, layer = plain.backbone, domains().view(1).train, plain._layer
    order = torch.randperm(len(images), generator=plain.rng("order"))
    x, y = model.transform(images.pixels(order)), images.labels[order]
    keys: list[Tensor] = []
    values: list[Tensor] = []
    radii: list[float] = []
    labels: list[int] = []
    edits = 0

    def scores(image: Tensor, value: Tensor | None) -> Tensor:
        features = model(image) if value is None else layer.features(model, image, value)
        return F.normalize(features) @ F.normalize(plain.base.prototypes).T  # type: ignore[attr-defined]

    for image, label in zip(x.split(1), y.tolist(), strict=True):
        with torch.no_grad():
            query = layer.input_of(model)(image)[0]
            apart = [float((query - key).norm()) for key in keys]
            best = min(range(len(keys)), key=apart.__getitem__) if keys else -1
            hit = best >= 0 and apart[best] <= radii[best] + 1e-6
            if int(scores(image, values[best] if hit else None).argmax()) == label:
                continue
            edits += 1
            far = best < 0 or apart[best] > 1.0 + radii[best]
            if far or labels[best] != label:
                value = torch.rand(1, layer.value_width, generator=plain.rng("values"))
                if start == "warm":
                    value = layer.held(model, image).value
                if not far:
                    radii[best] = apart[best] / 2 - 1e-5
                keys, labels = [*keys, query], [*labels, label]
                values, radii = [*values, value], [*radii, 1.0 if far else apart[best] / 2]
                best = len(keys) - 1
            else:
                radii[best] = max(radii[best], apart[best])
        value = nn.Parameter(values[best].clone())
        optimizer = torch.optim.Adam([value], lr=0.5)
        for _ in range(15):
            optimizer.zero_grad()
            F.cross_entropy(scores(image, value), torch.tensor([label])).backward()
            optimizer.step()
        values[best] = value.detach()
    book = method.codebook
    assert edits == method.edits > len(keys) == len(book) > 10, "some edits found an entry of their label"
    assert book.labels.tolist() == labels
    assert torch.allclose(book.keys, torch.stack(keys), atol=1e-5)
    assert torch.allclose(book.radii, torch.tensor(radii), atol=1e-4)
    assert torch.allclose(book.values, torch.cat(values), atol=2e-3)


def test_batches_of_corrections_are_corrections_one_by_one(learn: Learn, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for most in (1, 32):
        monkeypatch.setattr(grace, "AT_ONCE", most)
        method = edited(radius=1.5)
        learn(method, domains(), 2)
        found.append(method)
    one, many = (method.codebook.get_state() for method in found)
    assert found[0].edits == found[1].edits and torch.equal(one["labels"], many["labels"])
    assert torch.allclose(one["radii"], many["radii"], atol=1e-5)
    assert torch.allclose(one["values"], many["values"], atol=2e-3)


def test_layers_before_the_edited_one_are_computed_once_per_batch(learn: Learn) -> None:
    method, batches, calls = edited(), [], []
    first, trained = method.backbone.model.get_submodule("patch_embed"), method._trained
    own = first.forward

    def noted(x: Tensor) -> Tensor:
        calls.append(1)
        found: Tensor = own(x)
        return found

    def counted(*arguments: Any) -> Any:
        batches.append(1)
        vars(first)["forward"] = noted
        found = trained(*arguments)
        del vars(first)["forward"]
        return found

    vars(method)["_trained"] = counted
    learn(method, domains(), 2)
    assert len(calls) == len(batches), "not in each of 15 steps"


# ------------------------------------------------------------------------------------------------ baseline, refusals


def test_fine_tuning_moves_the_layer_alone_until_the_answer_is_right(learn: Learn) -> None:
    method = edited(edit="finetune", layer="blocks.1.mlp.fc2", finetune_lr=0.05)
    before = state.clone(dict(method.backbone.model.state_dict()))
    learn(method, domains(), 2)
    after = dict(method.backbone.model.state_dict())
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"blocks.1.mlp.fc2.weight", "blocks.1.mlp.fc2.bias"}
    report = method.report()
    assert report["edits"] > 5 and 0 < report["edit_success"] <= 1 and report["keys"] == 0
    assert report["unchanged_answers"] < 1


def test_fine_tuning_ends_like_a_plain_loop(learn: Learn) -> None:
    method, plain = (edited(edit="finetune", finetune_lr=0.02, iterations=6, measured=0) for _ in range(2))
    learn(method, domains(), 2)
    learn(plain, domains(), 1)
    plain.trainer.journal.begin(1)
    model, images = plain.backbone, domains().view(1).train
    order = torch.randperm(len(images), generator=plain.rng("order"))
    layer, edits = list(model.model.get_submodule("blocks.1").parameters()), 0
    for at in order.tolist():
        image, label = model.transform(images.pixels([at])), images.labels[[at]]

        def scores(image: Tensor = image) -> Tensor:
            return F.normalize(model(image)) @ F.normalize(plain.base.prototypes).T  # type: ignore[attr-defined]

        with torch.no_grad():
            if int(scores().argmax()) == int(label):
                continue
        edits += 1
        optimizer = torch.optim.Adam([each.requires_grad_(True) for each in layer], lr=0.02)
        for _ in range(6):
            z = scores()
            if int(z.argmax()) == int(label):
                break
            optimizer.zero_grad()
            F.cross_entropy(z, label).backward()
            optimizer.step()
        for each in layer:
            each.requires_grad_(False)
    assert edits == method.edits > 5
    for name, tensor in method.backbone.model.state_dict().items():
        assert torch.allclose(tensor, model.model.state_dict()[name], atol=1e-3), name


def test_a_killed_run_ends_in_the_same_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stop(BaseException):
        pass

    monkeypatch.setattr("cl.bases.edited.PART", 16)
    whole = run(edited(radius=1.0), domains(), tmp_path / "whole")
    correct, calls = GRACE.correct, []

    def stop(self: GRACE, images: Any) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise Stop
        correct(self, images)

    def learner() -> GRACE:
        return make(GRACE, folder=tmp_path / "cut", **{**FAST, "radius": 1.0})

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
        patch.setattr(GRACE, "correct", stop)
        run(learner(), domains(), tmp_path / "cut")
    again = run(learner(), domains(), tmp_path / "cut")
    assert again["measurement"]["resumed_from"] and again["result"] == whole["result"]
    assert again["measurement"]["report"] == whole["measurement"]["report"]


def test_a_layer_that_is_not_there_ends_with_one_sentence(isolated: None, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "-s", "grace", "--stream", "permuted-digits", "--set", "base=simplecil"]
    assert call([*arguments, "--set", "layer=blocks.9", "--limit", "2"]) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert "layer=blocks.9: backbone vit_micro_patch4_32" in last and "blocks.1-5" in last


@pytest.mark.parametrize("base", ["ease", "l2p", "wsn"])
def test_bases_without_one_network_are_refused(base: str) -> None:
    with pytest.raises(UsageError, match=rf"^base={base} "):
        GRACE.check_base(base, strategies.get(base))


@pytest.mark.parametrize("edit", ["grace", "finetune"])
def test_a_base_without_gradients_is_refused_in_one_sentence(learn: Learn, edit: str) -> None:
    class Blind(SimpleCIL):
        """Predicts without gradients, as adapters of other libraries do."""

        @torch.no_grad()
        def predict(self, inputs: Inputs, task: int | None = None) -> Tensor:
            return super().predict(inputs, task)

    strategies.register("blind", Blind)
    try:
        with pytest.raises(UsageError, match=r"^base=blind predicts without gradients, so no layer can be trained"):
            learn(edited(base="blind", edit=edit), domains(), 2)
    finally:
        strategies.unregister("blind")
