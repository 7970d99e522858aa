"""Wrappers that correct a finished learner: when it is finished, what is counted, and what is measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from cl.bases.edited import Edited
from cl.cli.app import call
from cl.errors import Incompatible, UsageError
from cl.plan.needs import refuse
from cl.registry import strategies
from cl.strategy import ImageSet, Inputs
from cl.stream import Stream
from cl.streams.domains import PermutedDigits
from tests.conftest import make, tiny_stream
from tests.help.compare import same

Learn = Callable[..., list[Any]]


def domains(**options: Any) -> Stream:
    family = PermutedDigits()
    chosen = family.Options(**{"tasks": 3, "train_per_class": 4, "test_per_class": 3, **options})
    return family.build(chosen, order_seed=1, data_seed=1)


class Told(Edited):
    """Corrects an image by remembering it: the right answer, whatever the base says."""

    @dataclass(frozen=True)
    class Options(Edited.Options):
        """The options of the base class."""

    def correct(self, images: ImageSet) -> None:
        wrong = (self.base_answers(images) != images.labels) & self.known(images)
        for at in wrong.nonzero().flatten():
            if not self.full:
                self.edits += 1
                self.corrected(images.subset(at[None]), torch.tensor([True]))

    def scores(self, inputs: Inputs) -> Tensor:
        scores = self.base.predict(inputs)
        for image, label in zip(self.past.pixels, self.past.labels, strict=True):
            scores[(inputs._pixels == image).flatten(1).all(1), label] = 2
        return scores


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    strategies.register("told", Told)
    yield
    strategies.unregister("told")


def test_the_base_learns_the_tasks_before_edit_from_and_no_other(learn: Learn) -> None:
    base, edited = make(strategies.get("simplecil")), make(Told, base="simplecil", edit_from=2)
    learn(base, domains(), 2)
    states = learn(edited, domains(), 3, lambda s, view: (s.base.get_state(), s.edits))
    assert same(states[1][0], base.get_state()) and same(states[2][0], base.get_state())
    assert states[1][1] == 0 < states[2][1]


def test_what_is_measured_over_the_images_kept(learn: Learn) -> None:
    method = make(Told, base="simplecil", measured=10)
    learn(method, domains(), 3)
    report = method.report()
    assert report["edits"] == method.edits > 10 and len(method.past) == len(method.upstream) == 10
    assert report["edit_success"] == report["edit_retention"] == 1.0 and report["held_out"] == 0
    assert report["test_retention"] == report["test_retention_before"] and report["unchanged_answers"] == 1.0
    assert report["task1.edits"] < report["task2.edits"] == report["edits"]
    right = [int(method.base.predict_images(image[None]).argmax()) for image in method.upstream.pixels]
    assert report["test_retention_before"] == pytest.approx(
        float((torch.tensor(right) == method.upstream.labels).double().mean())
    )


def test_held_out_images_are_measured_where_there_are_some(learn: Learn) -> None:
    method = make(Told, base="simplecil", measured=6)
    learn(method, domains(val_fraction=0.25), 2)
    assert method.report()["held_out"] == 1 and len(method.upstream) == 6


def test_retention_is_measured_when_enough_was_corrected_and_at_the_end(learn: Learn) -> None:
    method = make(Told, base="simplecil", measured=4, period=1000)
    learn(method, domains(), 3)
    assert sorted(name for name in method.report() if name.endswith(".edits")) == ["task1.edits", "task2.edits"]
    method = make(Told, base="simplecil", measured=4, period=1000)
    learn(method, domains(tasks=4), 4)
    assert sorted(name for name in method.report() if name.endswith(".edits")) == ["task1.edits", "task3.edits"]


@pytest.mark.parametrize("limit", [0, 5])
def test_no_more_corrections_than_allowed(learn: Learn, limit: int) -> None:
    method = make(Told, base="simplecil", max_edits=limit, measured=4)
    learn(method, domains(), 3)
    assert method.edits == limit and ("edit_success" in method.report()) == (limit > 0)


def test_images_of_classes_that_the_finished_learner_does_not_know_are_counted(learn: Learn) -> None:
    from cl.settings.blurry import i_blurry

    stream = i_blurry(tiny_stream(), 0.6, 0.5, seed=3)
    method = make(Told, base="simplecil", measured=4)
    learn(method, stream, 5)
    known = set(stream.view(0).classes)
    later = torch.cat([stream.view(task).train.labels for task in range(1, 5)])
    assert method.unknown == sum(int(label) not in known for label in later) > 0
    scores = method.predict_images(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    assert scores.shape == (2, 10) and torch.isfinite(scores).all()
    assert (scores[:, len(known) :].amax(1) < scores[:, : len(known)].amin(1)).all()


def test_a_base_that_scores_all_classes_from_the_start_knows_those_it_has_seen(learn: Learn) -> None:
    from cl.settings.blurry import i_blurry

    stream = i_blurry(tiny_stream(), 0.6, 0.5, seed=3)
    method = make(Told, base="hard-ash", base_options={"batch_size": 8}, measured=200)
    learn(method, stream, 5)
    known = set(stream.view(0).classes)
    later = torch.cat([stream.view(task).train.labels for task in range(1, 5)])
    assert method.unknown == sum(int(label) not in known for label in later) > 0
    assert len(method.past) and set(method.past.labels.tolist()) <= known
    scores = method.predict_images(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    assert scores.shape == (2, 10) and (scores[:, len(known) :].amax(1) < scores[:, : len(known)].amin(1)).all()
    raised = torch.cat([torch.zeros(2, len(known)), torch.ones(2, 10 - len(known))], 1)
    assert method.answers_in(raised).tolist() == [0, 0], "no answer is of a class that it has not seen"


def test_streams_that_leave_nothing_to_correct_are_refused_before_work(
    isolated: None, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Told.Options(base="simplecil", edit_from=3)
    with pytest.raises(
        Incompatible, match=r"needs 4 tasks to correct one after edit_from=3, but permuted-digits has 3;"
    ):
        refuse("told", options, domains())
    refuse("told", options, domains(tasks=4))
    refuse("told", options, domains(tasks=5), max_tasks=4)
    with pytest.raises(
        Incompatible, match=r"--max-tasks=3 learns 3 of the 5 tasks .*; lower edit_from, or raise --max-t"
    ):
        refuse("told", options, domains(tasks=5), max_tasks=3)
    call_it = [
        "run",
        "-s",
        "told",
        "--stream",
        "permuted-digits",
        "--limit=2",
        "--set",
        "base=simplecil",
        "--max-tasks=1",
    ]
    for more in ([], ["--dry-run"]):
        assert call([*call_it, *more]) == 2
        assert "told needs 2 tasks to correct one after edit_from=1, but --max-tasks=1" in capsys.readouterr().err
    with pytest.raises(UsageError, match="no class of split-digits comes back"):
        make(Told, base="simplecil").setup(tiny_stream().info)


def test_a_class_incremental_stream_ends_with_one_sentence(isolated: None, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["run", "-s", "grace", "--stream", "split-digits", "--set", "base=simplecil", "--limit", "4"]
    assert call(arguments) == 2
    assert "comes back in a later task" in capsys.readouterr().err.strip().splitlines()[-1]
