"""The declaration: mistakes have a place, and a row's command makes the runs that are looked for."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from cl.errors import UsageError
from cl.results import load_results
from cl.results.claims import Board, Claims, Row, read_claims

ROOT = Path(__file__).parents[3]

TEXT = """
[board.B]
about = "a board"
stream = "split-digits"
seeds = [1993]
results = "results/x"

[row]
one = { strategy = "simplecil" }
two = { strategy = "slca", options = { lr = 0.02 } }

[[claim]]
id = "X1"
paper = "p"
claim = "c"
source = "s"
unlike = "u"

[[claim.attempt]]
declared = "2026-01-01"
budget = "b"
trials = "t"

[[claim.attempt.part]]
name = "part"
kind = "greater"
board = "B"
first = "one"
second = "two"
"""


def written(folder: Path, old: str = "", new: str = "") -> Path:
    path = folder / "claims.toml"
    assert old in TEXT
    path.write_text(TEXT.replace(old, new) if old else TEXT)
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    claims = read_claims(written(tmp_path))
    assert claims.claims[0].attempt[0].part[0].sides == (("one", "B"), ("two", "B"))
    assert claims.rows["two"].words() == "slca lr=0.02"


KIND, SECOND, SEEDS = 'kind = "greater"', 'second = "two"', "seeds = [1993]"
SIDES = f'{KIND}\nboard = "B"\nfirst = "one"\n{SECOND}'
IDENTITY = 'id = "X1"\npaper = "p"'


def more(*lines: str) -> tuple[str, str]:
    """The part with further keys."""
    return KIND, "\n".join([KIND, *lines])


def of_kind(kind: str, *lines: str) -> tuple[str, str]:
    """The part as another kind, with further keys."""
    return KIND, "\n".join([f'kind = "{kind}"', *lines])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (of_kind("greter"), "kind 'greter' is unknown"),
        (('first = "one"', 'first = "on"'), "row 'on' is unknown"),
        (('board = "B"', 'board = "C"'), "board 'C' is unknown"),
        ((SECOND, ""), "lacks a row"),
        (more('quantity = "A_lst"'), "quantity 'A_lst' is unknown"),
        (('unlike = "u"', 'unlik = "u"'), "unknown key 'unlik'"),
        (of_kind("correlation"), "lacks a row"),
        (more("published = [1.0, 2.0]"), "of kind 'greater' does not read 'published'"),
        (of_kind("exact", "value = 1.0"), "lacks a row"),
        ((SEEDS, "seeds = []"), "seeds must name at least one seed"),
        ((SEEDS, "seeds = [1, 1]"), "seeds must name at least one seed"),
        (('declared = "2026-01-01"', 'declared = "yesterday"'), "a day such as 2026-01-31, not 'yesterday'"),
        (more('rule = "cil"'), "rule 'cil' is unknown"),
        (more('rule = "cil_seen"', 'second_rule = "cil"'), "rule 'cil' is unknown"),
        (more('second_rule = "cil_seen:nme"'), "give both, and unlike"),
        (of_kind("exact", 'rule = "cil_seen"', 'second_rule = "cil_open"'), "does not read 'second_rule'"),
        (more("size = -3"), "0 or more"),
        (more("margin = 3"), "of kind 'greater' does not read 'margin'"),
        (more('quantity = "tflops"'), "'tflops' is no metric; compare it by kind 'exact'"),
        (of_kind("equal", 'quantity = "report.capacity"'), "'report.capacity' is no metric"),
        ((SECOND, 'second = "one"'), "compares a row with itself"),
        (of_kind("best-of", 'others = ["one", "two"]'), "does not read 'second'"),
        (
            (SIDES, 'kind = "best-of"\nboard = "B"\nfirst = "one"\nothers = ["one", "two"]'),
            "compares a row with itself",
        ),
        (
            (
                SECOND,
                f'{SECOND}\nsecond_board = "C"\n[board.C]\nabout = "a"\nstream = "s"\nseeds = [1]\nresults = "r"',
            ),
            "boards have other seeds",
        ),
        ((f'[[claim.attempt.part]]\nname = "part"\n{SIDES}', ""), "lacks 'part'"),
        ((f'[[claim.attempt.part]]\nname = "part"\n{SIDES}', "part = []"), "needs an attempt, and each attempt a part"),
        (
            (
                IDENTITY,
                f'{IDENTITY}\nclaim = "c"\nsource = "s"\nunlike = "u"\nattempt = []\n[[claim]]\n{IDENTITY}',
            ),
            "two claims have this id",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as error:
        read_claims(written(tmp_path, *change))
    assert "claims.toml" in str(error.value)


def test_the_hash_of_a_row_is_that_of_its_runs() -> None:
    board = Board("d", "digits", "split-digits", (1993,), "results/x")
    row = Row("mine", "simplecil")
    claims = Claims({"d": board}, {"mine": row}, ())
    stored = load_results(ROOT / "results" / "reference" / "split-digits" / "simplecil").records
    assert {record["config_hash"] for record in stored} == {claims.config_hash(row, board)}
    assert claims.config_hash(Row("old", "simplecil", config="abc"), board) == "abc"


def test_a_wrong_option_is_named_with_its_row_and_board() -> None:
    board = Board("d", "digits", "split-digits", (1993,), "results/x")
    claims = Claims({"d": board}, {}, ())
    with pytest.raises(UsageError, match=r"row 'mine' on board 'd': There is no option 'lrr'"):
        claims.config_hash(Row("mine", "finetune", options={"lrr": 1}), board)


def test_the_command_gives_the_plan_of_the_row() -> None:
    from cl.plan.plan import make_plan

    options = {"stream.train_per_class": 4, "stream.setting": ["i-blurry"], "stream.order": "natural"}
    board = Board("d", "digits", "split-digits", (1993, 1996), "results/x", precision="bf16", options=options)
    row = Row("mine", "finetune", options={"milestones": [1, 2], "fresh_norm": True, "lr": 0.5})
    claims = Claims({"d": board}, {"mine": row}, ())
    words = shlex.split(claims.command(row, board, board.seeds))
    assert words[:4] == ["clbench", "run", "-s", "finetune"] and words[-1] == "results/x"
    assigned = dict(words[i + 1].split("=", 1) for i, word in enumerate(words) if word == "--set")
    plan = make_plan("finetune", "split-digits", options=assigned, precision="bf16", seed=1993)
    assert plan.config_hash == claims.config_hash(row, board)
    assert words[words.index("--seed") + 1] == "1993,1996"


@pytest.mark.parametrize(
    ("current", "folders", "expected"),
    [
        (".", ["results"], "results/reference/wsn"),
        (".", ["results/reference"], "results/reference/wsn"),
        ("results/reference", ["."], "wsn"),
        (".", ["mine"], "mine"),
        (".", ["mine", "results/reference/wsn"], "results/reference/wsn"),
        ("mine", ["../results/reference", "../results"], "../results/reference/wsn"),
    ],
)
def test_commands_write_where_records_were_read_whatever_the_current_folder(
    current: str, folders: list[str], expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in ("results/reference/wsn", "mine"):
        (tmp_path / each).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / current)
    board = Board("d", "digits", "split-digits", (1993,), "results/reference/wsn")
    claims = Claims({"d": board}, {}, ()).placed([Path(each) for each in folders])
    words = shlex.split(claims.command(Row("mine", "finetune"), claims.boards["d"], (1993,)))
    assert words[words.index("--results") + 1] == expected
    whole = Claims({"d": board}, {}, ()).placed([tmp_path / "results"]).boards["d"].results
    assert whole == str(tmp_path / "results/reference/wsn")


def test_the_network_of_a_row_is_in_its_plan_its_command_and_its_words() -> None:
    board = Board("d", "digits", "split-digits", (1993,), "results/x", backbone="wsn_lenet@random")
    plain, other = Row("plain", "finetune"), Row("other", "finetune", backbone="wsn_alexnet@random")
    claims = Claims({"d": board}, {"plain": plain, "other": other}, ())
    assert "--backbone wsn_lenet@random" in claims.command(plain, board, (1993,))
    assert "--backbone wsn_alexnet@random" in claims.command(other, board, (1993,))
    assert claims.plan(other, board, 1993).backbone == "wsn_alexnet@random"
    assert other.words() == "finetune on wsn_alexnet@random"


def test_shipped_claims_are_declared_well() -> None:
    claims = read_claims()
    ids = [claim.id for claim in claims.claims]
    assert len(set(ids)) == len(ids)
    for claim in claims.claims:
        assert claim.attempt, claim.id
        dates = [attempt.declared for attempt in claim.attempt]
        assert dates == sorted(dates)
        assert all(attempt.why for attempt in claim.attempt[1:]), f"{claim.id}: a later attempt says why it was made"


def test_a_board_with_a_probe_is_planned_and_run_with_it(tmp_path: Path) -> None:
    plain = read_claims(written(tmp_path))
    (tmp_path / "probed").mkdir()
    probed = read_claims(
        written(tmp_path / "probed", 'results = "results/x"', 'results = "results/x"\nprobe = "tinyimagenet_60"')
    )
    row, board = probed.rows["two"], probed.boards["B"]
    plan = probed.plan(row, board, 1993)
    assert (plan.probe, plan.probe_last) == ("tinyimagenet_60", True)
    assert plan.config_hash == probed.config_hash(row, board) != plain.config_hash(row, plain.boards["B"])
    words = shlex.split(probed.command(row, board, [1993]))
    assert words[words.index("--probe") :][:3] == ["--probe", "tinyimagenet_60", "--probe-last"]
    assert "--probe" not in plain.command(row, plain.boards["B"], [1993])
    (tmp_path / "steady").mkdir()
    with pytest.raises(UsageError, match=r"steady.*lacks a row or a value"):
        read_claims(
            written(
                tmp_path / "steady",
                'kind = "greater"\nboard = "B"\nfirst = "one"\nsecond = "two"',
                'kind = "steady"\nboard = "B"\nfirst = "one"',
            )
        )
