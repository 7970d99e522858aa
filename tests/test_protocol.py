"""Words of the protocol: which rule is shown, which one answers, and what belongs to a setting."""

from __future__ import annotations

import pytest

from cl import protocol
from cl.protocol import answering, belongs, default_rule, rule_of, rules_on, split_rule


def test_settings_ask_for_their_rules() -> None:
    declared = ("cil_seen", "dil", "til_masked")
    assert rules_on(declared, "online class-incremental") == ("cil_seen", "til_masked")
    assert rules_on(declared, "online task-incremental") == ("til_oracle",)
    assert rules_on(declared, "blurry domain-incremental") == ("dil",)
    assert rules_on(("dil",), "class-incremental") == ("dil",), "a strategy without another rule"


def test_every_rule_is_used_for_every_named_answer() -> None:
    declared, both = ("cil_seen", "dil", "til_masked"), ("cnn", "nme")
    assert rules_on(declared, "few-shot class-incremental", both) == (
        *("cil_seen", "til_masked", "cil_seen:cnn", "til_masked:cnn", "cil_seen:nme", "til_masked:nme"),
    )
    assert rules_on(declared, "task-incremental", ("cnn",)) == ("til_oracle", "til_oracle:cnn")
    assert split_rule("cil_seen:cnn") == ("cil_seen", "cnn") and split_rule("dil") == ("dil", "")
    assert [rule_of(*split_rule(name)) for name in ("cil_seen:cnn", "dil")] == ["cil_seen:cnn", "dil"]


def test_the_rule_that_is_shown_does_not_depend_on_their_order() -> None:
    assert default_rule(["cil_all", "cil_seen"]) == "cil_seen", "not the first by name"
    assert default_rule(["til_masked", "cil_seen"]) == default_rule(["cil_seen", "til_masked"]) == "cil_seen"
    assert default_rule(["zz_own", "til_oracle"]) == "til_oracle"
    assert default_rule(["zz_own", "aa_own"]) == "aa_own"
    assert default_rule([]) == "cil_seen"
    assert default_rule(["cil_all:cnn", "til_masked"]) == "til_masked", "never a named answer"


@pytest.mark.parametrize(
    ("rules", "asked", "found"),
    [
        (("cil_seen", "til_masked"), "til_oracle", "til_masked"),
        (("til_masked", "til_oracle"), "til_oracle", "til_oracle"),
        (("cil_seen",), "til_oracle", "til_oracle"),
        (("cil_seen", "til_masked"), "cil_all", "cil_all"),
        (("til_masked", "til_masked:cnn"), "til_oracle:cnn", "til_masked:cnn"),
        (("til_masked",), "til_oracle:cnn", "til_oracle:cnn"),
    ],
)
def test_masked_scores_answer_for_a_strategy_that_is_not_told_the_task(
    rules: tuple[str, ...], asked: str, found: str
) -> None:
    assert answering(rules, asked) == found


def test_what_is_meant_for_a_setting_applies_to_its_variants() -> None:
    assert belongs(protocol.CLASS, "online few-shot class-incremental")
    assert belongs(protocol.FEW_SHOT, "few-shot class-incremental") and not belongs(protocol.FEW_SHOT, protocol.CLASS)
    assert belongs(protocol.ANYTIME, "online class-incremental") and belongs(
        protocol.ANYTIME, "blurry task-incremental"
    )
    assert not belongs(protocol.ANYTIME, protocol.CLASS)
