"""The order of runs: one run of a group computes the features, and others are put off while there is other work."""

from __future__ import annotations

from cl.executors.placement import Waiting, shared_features
from cl.plan.plan import Plan, make_plan


def plans(*streams: str) -> list[Plan]:
    return [make_plan("simplecil", stream, seed=number) for number, stream in enumerate(streams)]


def test_seeds_and_strategies_share_features_and_images_and_backbones_do_not() -> None:
    one, two = make_plan("simplecil", "split-digits"), make_plan("ncm", "split-digits", seed=3)
    assert shared_features(one) == shared_features(two)
    others = [make_plan("ncm", "split-cifar100"), make_plan("ncm", "split-digits", "resnet18@random"),
              make_plan("ncm", "split-digits", precision="bf16"),
              make_plan("ncm", "split-digits", options={"backbone.normalize": "half"})]  # fmt: skip
    assert len({shared_features(each) for each in [one, *others]}) == 5


def test_runs_whose_features_are_being_computed_come_last() -> None:
    given = plans("split-digits", "split-digits", "split-digits", "split-cifar100", "split-cifar100")
    waiting = Waiting(given)
    assert [waiting.take()[0] for _ in range(2)] == [0, 3]
    waiting.ended(0, given[0], well=True)
    assert [waiting.take()[0] for _ in range(3)] == [1, 2, 4] and len(waiting) == 0


def test_without_other_work_runs_wait_for_the_features_themselves() -> None:
    waiting = Waiting(plans("split-digits", "split-digits"))
    assert [waiting.take()[0] for _ in range(2)] == [0, 1]


def test_after_a_failure_another_run_computes_the_features() -> None:
    given = plans("split-digits", "split-digits", "split-digits", "split-cifar100", "split-cifar100")
    waiting = Waiting(given)
    waiting.take()
    waiting.ended(0, given[0], well=False)
    assert waiting.take()[0] == 1, "it computes them now"
    assert waiting.take()[0] == 3, "and 2 is put off again"
    waiting.give_up()
    assert len(waiting) == 0
