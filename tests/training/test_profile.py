"""Where the time of a run goes: parts that sum to the whole, against a clock that the test moves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from cl.strategies.slca import SLCA
from cl.training.batches import Batch, TensorBatches
from cl.training.cost import Cost
from cl.training.optim import sgd
from cl.training.profile import OFF, PARTS, Profile, profile_text
from tests.conftest import make, run, tiny_stream
from tests.help.probe import X, Y, probe

SECOND = 1_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now

    def pass_(self, seconds: int) -> None:
        self.now += seconds * SECOND


def seconds(found: dict[str, Any]) -> dict[str, float]:
    return {name: part["seconds"] for name, part in found["parts"].items() if part["seconds"]}


def test_a_moment_belongs_to_the_innermost_part() -> None:
    clock = Clock()
    profile = Profile(clock)
    clock.pass_(1)  # start
    profile.started()
    clock.pass_(2)  # other
    with profile.part("train"):
        clock.pass_(4)
        for _ in range(3):
            with profile.part("forward"):
                clock.pass_(8)
    with profile.part("eval"):
        clock.pass_(64)
        with profile.part("encode"):
            clock.pass_(128)
    with pytest.raises(ZeroDivisionError), profile.part("checkpoint"):
        clock.pass_(256)
        raise ZeroDivisionError
    clock.pass_(512)
    found = profile.result(resumed=False)
    expected = {"start": 1, "forward": 24, "statistics": 4, "evaluation": 192, "checkpoint": 256, "other": 514}
    assert seconds(found) == expected and found["seconds"] == sum(expected.values()) == 991
    calls = {name: part["calls"] for name, part in found["parts"].items() if part.get("calls")}
    assert calls == {"statistics": 1, "forward": 3, "evaluation": 1, "checkpoint": 1}
    assert list(found["parts"]) == list(PARTS) and not found["resumed"] and not found["synchronised"]


def test_the_clock_waits_for_a_device_before_each_reading() -> None:
    clock = Clock()
    profile = Profile(clock)
    profile.started(lambda: clock.pass_(1))
    with profile.part("forward"):
        pass
    found = profile.result(resumed=True)
    assert seconds(found) == {"other": 2, "forward": 1} and found["synchronised"]
    text = profile_text(found)
    assert "The run was resumed: the table shows this process only." in text and "The clock waited" in text


def test_the_table_has_seconds_shares_and_calls() -> None:
    parts = {"forward": {"seconds": 3.0, "calls": 20}, "other": {"seconds": 1.0}}
    shown = profile_text({"seconds": 4.0, "parts": parts, "resumed": False, "synchronised": False})
    assert [line.split() for line in shown.splitlines()] == [
        ["part", "seconds", "share", "calls"],
        ["forward", "3.000", "75.0", "%", "20"],
        ["other", "1.000", "25.0", "%"],
        ["total", "4.000", "100.0", "%"],
    ]
    assert "0.0 %" in profile_text(
        {"seconds": 0.0, "parts": {"other": {"seconds": 0.0}}, "resumed": 0, "synchronised": 0}
    )


def test_a_fit_tells_its_data_forward_backward_and_optimiser_apart() -> None:
    clock, learner = Clock(), probe()

    class Slow(TensorBatches):
        def epoch(self, *arguments: Any) -> Any:
            for batch in super().epoch(*arguments):
                clock.pass_(1)
                yield batch

    def loss(batch: Batch) -> Tensor:
        clock.pass_(10)
        value = learner.loss(batch)
        value.register_hook(lambda gradient: clock.pass_(100))
        return value

    def validate() -> float:
        clock.pass_(10_000)
        return 1.0

    profile = learner.trainer.cost.profile = Profile(clock)
    profile.started()
    with profile.part("train"):
        after: dict[str, Any] = {"after_step": lambda step: clock.pass_(1000), "validate": validate}
        learner.fit(
            "a",
            Slow(X[:6], Y[:6], 2),
            epochs=2,
            loss=loss,
            params=learner.layer.parameters(),
            optimizer=sgd(0.1),
            **after,
        )
    found = profile.result(resumed=False)
    expected = {"data": 6, "forward": 60, "backward": 600, "optimiser": 6000, "evaluation": 20_000}
    assert seconds(found) == expected and found["seconds"] == 26_666
    assert [found["parts"][name]["calls"] for name in ("forward", "backward", "optimiser", "evaluation")] == [
        6,
        6,
        6,
        2,
    ]


def test_nothing_is_measured_unless_asked() -> None:
    cost = Cost()
    assert cost.profile is OFF and cost.part("forward") is cost.part("backward"), "one object that does nothing"
    OFF.started()


def test_the_parts_of_a_whole_run_sum_to_it_and_its_result_is_that_of_any_other(tmp_path: Path) -> None:
    learners = [make(SLCA, folder=tmp_path / name, epochs=1, batch_size=16) for name in ("plain", "profiled")]
    profile = learners[1].trainer.cost.profile = Profile()
    profile.started()
    plain, profiled = (run(each, tiny_stream(tasks=2), tmp_path / str(n)) for n, each in enumerate(learners))
    assert plain["result_sha256"] == profiled["result_sha256"]
    found = profile.result(resumed=False)
    assert found["seconds"] == pytest.approx(sum(part["seconds"] for part in found["parts"].values()))
    named = set(PARTS) - {"start", "other"}
    assert {name for name in named if found["parts"][name]["calls"]} == named, "every part has its place in a run"
    steps = found["parts"]["forward"]["calls"]
    assert steps == found["parts"]["backward"]["calls"] == found["parts"]["optimiser"]["calls"] > 2
    assert found["parts"]["evaluation"]["calls"] == 2 and found["parts"]["records"]["calls"] == 6


def test_the_page_of_the_command_line_describes_every_part() -> None:
    page = (Path(__file__).parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    assert [name for name in PARTS if f"| `{name}` |" not in page] == []
