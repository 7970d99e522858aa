"""A setup without its run: the same refusals, no files, and no long work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cl import registry
from cl.cli import call
from cl.errors import ClbenchError, MissingData
from cl.paths import look_only
from cl.plan.plan import Plan, make_plan
from cl.running.build import build_stream
from cl.running.rehearsal import rehearse
from tests.help.toy import Toy


def planned(strategy: str, backbone: str = "test_vit@random", stream: str = "split-digits", **options: Any) -> Plan:
    return make_plan(strategy, stream, backbone=backbone, limit=2, options=options)


def rehearsed(plan: Plan) -> str:
    """The refusal of a plan; empty if there is none."""
    try:
        with look_only():
            rehearse(plan, build_stream(plan))
    except ClbenchError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("strategy", "options", "said"),
    [
        ("packnet", {"prune": 0.99999}, "prune=0.99999 leaves no weight of"),
        ("hypernetwork", {"ratio": 0.0001, "limit": 10**7}, "no chunk is small enough for a hypernetwork of"),
        ("cl-dst", {"density": 0.0001}, "leaves"),
        ("softnet", {"block": "blocks.99"}, "block=blocks.99 holds no masked weights"),
        ("lora-merge", {"targets": ["no_such_layer"]}, "has no layer whose name ends in 'no_such_layer'"),
        ("l2p", {"pool": 2, "top": 3}, "top=3 prompts cannot be taken from a pool of 2"),
    ],
)
def test_a_setup_refuses_as_in_the_run(
    strategy: str, options: dict[str, Any], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = planned(strategy, **options)
    found = rehearsed(plan)
    assert said in found
    values = [
        f"--set={key}={'[' + value[0] + ']' if isinstance(value, list) else value}" for key, value in options.items()
    ]
    assert call(["run", "-s", strategy, "--stream", "split-digits", "-b", "test_vit@random", "--limit=2", *values]) == 2
    assert found in capsys.readouterr().err


def test_a_setup_that_fits_leaves_no_trace(tmp_path: Path) -> None:
    before = torch.get_rng_state()
    assert rehearsed(planned("packnet")) == rehearsed(planned("vcl", "mlp_2x100_28@random")) == ""
    assert list(tmp_path.iterdir()) == [] and torch.equal(torch.get_rng_state(), before)


def test_it_ends_before_features_are_computed_and_before_a_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cl.strategies.kvb.KeyQuantiser", lambda *_, **__: pytest.fail("features were computed"))
    assert rehearsed(planned("kvb", "vit_micro_patch4_32.tinyimagenet_distill")) == ""

    class Fits(Toy):
        def setup(self, info: Any) -> None:
            self.fit("early", None, None, [], epochs=1, optimizer=None)  # type: ignore[arg-type]
            pytest.fail("it went on after a fit")

    registry.strategies.register("fits", Fits)
    try:
        assert rehearsed(planned("fits")) == ""
    finally:
        registry.strategies.unregister("fits")


def test_data_of_a_setup_that_is_not_here_is_missing() -> None:
    plan = planned("kvb", keys_from="split-cifar100")
    with pytest.raises(MissingData), look_only():
        rehearse(plan, build_stream(plan))
