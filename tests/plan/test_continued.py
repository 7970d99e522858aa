"""Plans of runs that continue a learner: which learner, and what must stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cl
from cl.errors import UsageError
from cl.plan.continued import learner_after, parent_of
from cl.plan.plan import load_plan, make_plan
from cl.plan.run_options import declared
from cl.records.record import load, save
from tests.help.small_runs import OPTIONS, run

pytestmark = pytest.mark.usefixtures("isolated")


@pytest.fixture
def parent() -> Path:
    few = {**OPTIONS, "stream.tasks": 5}
    result = cl.run(
        "simplecil", "split-digits", backbone="test_vit@random", options=few, seed=7, save_every_task=True, max_tasks=2
    )
    return result.folder


def test_learners_that_were_kept_are_found(parent: Path) -> None:
    assert parent_of(parent, None, rest=True).kept == learner_after(2)
    assert parent_of(parent, 1, rest=True).file == parent / "learner-after-1.safetensors"
    with pytest.raises(UsageError, match=r"no learner after task 3, only after 1, 2; choose one, or run it again"):
        parent_of(parent, 3, rest=True)


def test_an_unfinished_run_is_finished_and_not_started_over(parent: Path) -> None:
    save({**load(parent / "record.json"), "status": "partial"}, parent / "record.json")
    finish = r"finish it with `clbench resume .*seed7 --save-learner` and go on then"
    with pytest.raises(UsageError, match=f"no learner after task 3, only after 1, 2; choose one, or {finish}.$"):
        parent_of(parent, 3, rest=True)
    assert parent_of(parent, None, rest=True).tasks == 2, "what was kept can be used"
    for task in (1, 2):
        (parent / learner_after(task)).unlink()
    with pytest.raises(UsageError, match=f"seed7 is not complete; {finish}.$"):
        parent_of(parent, None, rest=True)
    with pytest.raises(UsageError, match=f"seed7 is not complete; {finish}; only --existing always with --save-every"):
        parent_of(parent, 1, rest=True)


def test_the_plan_is_the_parent_s_with_another_stream(parent: Path, tmp_path: Path) -> None:
    plan = make_plan(from_run=parent, from_task=1, results=tmp_path / "other", max_tasks=1)
    before = load_plan(parent)
    assert (plan.strategy, plan.stream, plan.backbone, plan.seeds) == (
        before.strategy, before.stream, before.backbone, before.seeds,
    )  # fmt: skip
    assert plan.values == before.values and plan.max_tasks == 1 and "after 1 task of seed7" in plan.title
    assert plan.folder.is_relative_to(tmp_path / "other") and plan.config_hash != before.config_hash
    new = make_plan(stream="split-cifar100", from_run=parent, options={"stream.increment": 5})
    assert new.stream_options.increment == 5 and new.options == before.options
    assert new.parent is not None and new.parent.limited  # what it learned first was not all
    assert "stream.train_per_class" not in {key for key, each in new.values.items() if each.value == 6}


def test_config_toml_repeats_it(parent: Path, tmp_path: Path) -> None:
    several: tuple[dict[str, Any], ...] = (
        {"from_run": parent},
        {"from_run": parent, "from_task": 1, "stream": "split-cifar100", "limit": 3},
    )
    for given in several:
        plan = make_plan(**given)
        path = tmp_path / "config.toml"
        path.write_text(plan.to_toml(run_id="a"))
        assert load_plan(tmp_path).config_hash == make_plan(config_file=path).config_hash == plan.config_hash
        assert load_plan(tmp_path).parent == plan.parent and make_plan(config_file=path).folder == plan.folder
    assert plan.stream_options.train_per_class == 3


def test_its_command_makes_the_same_plan(parent: Path, tmp_path: Path) -> None:
    from cl.cli.commands.run import command, planned
    from cl.plan.command import command_of

    new = {"stream": "split-cifar100", "options": {"stream.increment": 5}, "limit": 3, "save_learner": True}
    several: tuple[dict[str, Any], ...] = ({}, {"from_task": 1, "max_tasks": 1}, new)
    for given in several:
        plan = make_plan(from_run=parent, results=tmp_path / "there", **given)
        words = command_of(plan)[2:]
        chosen = command.make_context("run", words).params
        wanted = {
            key: value
            for key, value in chosen.items()
            if key in (*declared(), "config", "assignments", "from_run", "from_task")
        }
        [again] = planned(**wanted).plans
        assert (again.folder, again.parent, again.max_tasks) == (plan.folder, plan.parent, plan.max_tasks)


def test_what_may_change_is_named_as_on_the_command_line(parent: Path) -> None:
    always = r"leave it out\. What may change: --device, .*--save-scores, --logger, --max-tasks; "
    new = "the options of the stream, --limit and --skip-damaged"
    with pytest.raises(UsageError, match=rf"^stream\.tasks=4 .*{always}where --stream names new tasks also {new}\.$"):
        make_plan(from_run=parent, options={"stream.tasks": 4})
    with pytest.raises(UsageError, match=rf"^--precision bf16 .*{always}--stream, {new}\.$"):
        make_plan(from_run=parent, stream="split-cifar100", precision="bf16")
    with pytest.raises(UsageError, match=r"^--logger must be a list of text, not 5"):
        make_plan(from_run=parent, loggers=5)


def test_images_that_are_read_stay_where_the_stream_does(parent: Path) -> None:
    with pytest.raises(UsageError, match="--limit 3 differs from the run that is continued"):
        make_plan(from_run=parent, limit=3)


def test_an_unfinished_run_is_finished_first(tmp_path: Path) -> None:
    result = run()
    (result.folder / "record.json").unlink()
    with pytest.raises(UsageError, match="has learned nothing yet"):
        make_plan(from_run=result.folder)
    with pytest.raises(UsageError, match="leave --config out"):
        make_plan(from_run=result.folder, config_file="x.toml")
