"""`cl.to_avalanche`: a benchmark for Avalanche's own strategies, with the images and classes of the stream."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import cl
from cl.avalanche import lib
from cl.backbone.transform import Transform
from cl.errors import UsageError
from cl.stream import Stream
from tests.conftest import tiny_stream


@pytest.fixture(scope="module")
def stream() -> Stream:
    return tiny_stream(seed=7)


@pytest.fixture(scope="module")
def benchmark(stream: Stream) -> Any:
    return cl.to_avalanche(stream)


def images(experience: Any) -> tuple[torch.Tensor, list[int], list[int]]:
    x, y, t = zip(*(experience.dataset[i] for i in range(len(experience.dataset))), strict=True)
    return torch.stack(x), [int(label) for label in y], [int(label) for label in t]


def test_images_and_targets_are_those_of_the_stream(stream: Stream, benchmark: Any) -> None:
    assert len(benchmark.train_stream) == len(benchmark.test_stream) == len(stream.experiences)
    for ours, theirs in zip(stream.experiences, benchmark.train_stream, strict=True):
        x, y, t = images(theirs)
        assert torch.equal((x * 255).round().byte(), stream._images(ours.train).pixels(slice(None)))
        assert y == stream._images(ours.train).labels.tolist() == list(theirs.dataset.targets)
        assert set(t) == {0}
    for group, theirs in enumerate(benchmark.test_stream):
        rows, labels, _ = stream.test_rows([group])
        x, y, _ = images(theirs)
        pixels = torch.from_numpy(np.ascontiguousarray(stream.dataset.test.pixels[rows].transpose(0, 3, 1, 2)))
        assert torch.equal((x * 255).round().byte(), pixels)
        assert y == labels.tolist()


def test_classes_of_experiences_are_those_of_the_stream(stream: Stream, benchmark: Any) -> None:
    for task, experience in enumerate(benchmark.train_stream):
        view = stream.view(task)
        assert set(experience.classes_in_this_experience) == set(view.classes)
        assert set(experience.classes_seen_so_far) == set(view.seen)
        assert experience.benchmark is benchmark
    assert benchmark.n_classes_per_exp == list(stream.info.classes_per_task)
    assert benchmark.class_names == list(stream.info.class_names)


def test_transforms_and_task_labels(stream: Stream) -> None:
    transform = Transform(8, (0.5,) * 3, (0.5,) * 3)
    made = cl.to_avalanche(stream, transform=transform, train_transform=lambda x: x.float() * 0, task_labels=True)
    x, _, t = images(made.test_stream[1])
    rows, _, _ = stream.test_rows([1])
    pixels = torch.from_numpy(stream.dataset.test.pixels[rows].transpose(0, 3, 1, 2).copy())
    assert torch.equal(x, transform(pixels)) and set(t) == {1}
    x, _, _ = images(made.train_stream[0])
    assert not x.any()
    assert torch.equal(made.train_stream[0].dataset.eval()[0][0], transform(stream.view(0).train.pixels([0]))[0])


def test_what_is_no_stream_is_refused() -> None:
    with pytest.raises(UsageError, match=r"to_avalanche takes a stream, .*, not 'split-digits'"):
        cl.to_avalanche("split-digits")  # type: ignore[arg-type]


def test_held_out_images_become_the_validation_stream() -> None:
    stream = tiny_stream(val_fraction=0.25)
    made = cl.to_avalanche(stream)
    assert [len(e.dataset) for e in made.valid_stream] == [len(e.val) for e in stream.experiences]
    assert [len(e.dataset) for e in made.train_stream] == [len(e.train) for e in stream.experiences]


def test_streams_with_returning_classes_are_converted(stream: Stream) -> None:
    twice = dataclasses.replace(stream, experiences=(*stream.experiences, stream.experiences[0]))
    made = cl.to_avalanche(twice)
    assert len(made.train_stream) == len(stream.experiences) + 1
    assert set(made.train_stream[-1].classes_in_this_experience) == set(stream.experiences[0].classes)


def test_naive_of_avalanche_trains_and_evaluates_on_the_benchmark(
    benchmark: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with lib.quiet():
        naive = lib.Naive(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9),
            train_mb_size=8,
            train_epochs=10,
            evaluator=lib.EvaluationPlugin(),
        )
        for experience in benchmark.train_stream:
            naive.train(experience)
        naive.eval(benchmark.test_stream)
    x, y, _ = images(benchmark.test_stream[-1])
    with torch.no_grad():
        assert (model(x).argmax(1) == torch.tensor(y)).float().mean() > 0.8
        x, y, _ = images(benchmark.test_stream[0])
        assert (model(x).argmax(1) == torch.tensor(y)).float().mean() < 0.5  # and it forgets
    assert capsys.readouterr() == ("", "")
