"""`clbench metrics`: every metric, and the metrics of a run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import cl
from cl.cli import call
from cl.records.metrics import METRICS
from cl.records.record import save
from tests.help.records import build_probe, build_record, build_run

Shown = pytest.CaptureFixture[str]


def test_metrics_explain_themselves(capsys: Shown) -> None:
    assert call(["metrics"]) == 0
    shown = capsys.readouterr().out
    for metric in METRICS.values():
        assert f"{metric.id}: {metric.title}\n    formula  {metric.formula}\n    source   {metric.source}\n" in shown
    assert call(["metrics", "F_local_rf"]) == 0
    assert "range    -1 to 1, higher is better; needs local" in capsys.readouterr().out
    assert call(["metrics", "BWT", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["range"] == [-1.0, 1.0]
    assert call(["metrics", "NLL", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["range"] == [0.0, None]
    assert call(["metrics", "NLL"]) == 0 and "range    0 or more, lower is better" in capsys.readouterr().out
    assert call(["metrics", "F_chaudry"]) == 2
    assert "There is no metric and no run 'F_chaudry'. Did you mean F_chaudhry?" in capsys.readouterr().err


def test_metrics_of_a_run_come_from_its_counts(tmp_path: Path, capsys: Shown) -> None:
    digits = Path(cl.__file__).parent.parent / "results" / "reference" / "split-digits"
    reference = sorted(digits.rglob("record.json"))
    if not reference:
        pytest.skip("needs the records of the repository")
    record = json.loads(reference[0].read_text())
    assert call(["metrics", str(reference[0].parent), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    for rule, recorded in record["result"]["metrics"].items():
        assert {name: found[rule][name] for name in recorded} == recorded
    record["result"]["metrics"]["cil_seen"]["A_last_sample"] = 0.123
    save(record, tmp_path / "record.json")
    assert call(["metrics", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "The record says 0.123000 for A_last_sample, cil_seen." in shown.err
    assert "| A_last_sample " in shown.out and "0.123000" not in shown.out
    (tmp_path / "empty").mkdir()
    assert call(["metrics", str(tmp_path / "empty")]) == 2
    assert "holds no record.json" in capsys.readouterr().err


def answered(folder: Path) -> str:
    """A run of three tasks of four images; two images of the first task are wrong after the second."""
    right = np.ones((3, 12), dtype=bool)
    first = 2 * int(np.random.default_rng(0).permutation(6)[0])  # `build_run` draws the class order with the seed
    right[1, first : first + 2] = right[2, first] = False
    folder.mkdir()
    build_run(folder, right)
    return str(folder)


def test_undefined_metrics_say_why(tmp_path: Path, capsys: Shown) -> None:
    assert call(["metrics", answered(tmp_path / "run")]) == 0
    shown = capsys.readouterr().out
    assert "| FWT                     | undefined |" in shown
    assert "undefined: FWT: a class-incremental head has no rows for classes before their task\n" in shown
    assert "undefined: top5, ECE, NLL: the run did not store scores; run it with --save-scores\n" in shown
    assert "| NFR                     |  0.250000 |" in shown, "2 of 4 images, then 0 of 8"


def test_flips_between_two_tasks(tmp_path: Path, capsys: Shown) -> None:
    run = answered(tmp_path / "run")
    assert call(["metrics", run, "--flips", "1,3", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"rule": "cil_seen", "negative": 0.25, "positive": 0.0}
    assert call(["metrics", run, "--flips", "2,3"]) == 0
    assert "positive flips (wrong, then right)  12.50" in capsys.readouterr().out
    assert call(["metrics", run, "--flips", "2,4"]) == 2
    assert "there are: 1 to 3." in capsys.readouterr().err


def test_curve_and_confusion(tmp_path: Path, capsys: Shown) -> None:
    run = answered(tmp_path / "run")
    assert call(["metrics", run, "--curve", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["task"] for row in rows] == [1, 2, 3]
    assert [row["forgetting"] for row in rows] == [None, 0.5, 0.125]
    assert [row["NFR"] for row in rows] == [None, 0.5, 0.0] and [row["PFR"] for row in rows] == [None, 0.0, 0.125]
    assert [row["A_t"] for row in rows] == pytest.approx([1, 6 / 8, 11 / 12])
    assert call(["metrics", run, "--curve"]) == 0
    assert "|    2 |  75.00 |" in capsys.readouterr().out
    assert call(["metrics", run, "--confusion", "--json"]) == 0
    table = json.loads(capsys.readouterr().out)["table"]
    assert sum(map(sum, table)) == 12 and sum(table[i][i] for i in range(6)) == 11
    assert call(["metrics", run, "--confusion"]) == 0 and "none |" in capsys.readouterr().out
    assert call(["metrics", run, "--classes", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert sorted((row["precision"], row["recall"]) for row in rows)[:2] == [(pytest.approx(2 / 3), 1), (1, 0.5)]
    assert [row["task"] for row in rows] == [1, 1, 2, 2, 3, 3] and {row["images"] for row in rows} == {2}
    assert call(["metrics", run, "--classes"]) == 0 and "|     66.67 | 100.00 |  80.00 |" in capsys.readouterr().out
    (Path(run) / "predictions.npz").unlink()
    assert call(["metrics", run, "--confusion"]) == 2
    assert "has no predictions.npz" in capsys.readouterr().err


VIEWS = (["--curve"], ["--confusion"], ["--classes"], ["--flips", "1,2"])


@pytest.mark.parametrize("view", VIEWS, ids=[words[0] for words in VIEWS])
def test_a_run_without_any_evaluation_has_no_table(view: list[str], tmp_path: Path, capsys: Shown) -> None:
    run = answered(tmp_path / "run")
    record = json.loads((Path(run) / "record.json").read_text())
    for rules in record["result"]["accuracy"].values():
        rules.update(correct=[], class_correct=[])
    record["result"]["rows"] = []
    for status, fix in (("partial", f"finish it with `clbench resume {run}`"), ("complete", "choose a run that was")):
        save({**record, "status": status}, Path(run) / "record.json")
        for more in ([], ["--json"]):
            assert call(["metrics", run, *view, *more]) == 2
            shown = capsys.readouterr()
            assert f"{run} was not evaluated after any task; {fix}." in shown.err and not shown.out


@pytest.mark.parametrize("view", ["--confusion", "--classes"])
def test_images_with_several_classes_have_no_table_of_zeros(view: str, tmp_path: Path, capsys: Shown) -> None:
    run = answered(tmp_path / "run")
    record = json.loads((Path(run) / "record.json").read_text())
    result = record["result"]
    for group in result["stream"]["groups"]:
        group["measure"] = "mAP"
    empty = [[None] * 3] * 3
    result["accuracy"] = {"cil_seen": {"correct": empty, "class_correct": [[None] * 6] * 3}}
    result["mean_precision"] = {"cil_seen": [[0.5, None, None], [0.5, 0.5, None], [0.5, 0.5, 0.5]]}
    save(record, Path(run) / "record.json")
    assert call(["metrics", run, view]) == 2
    shown = capsys.readouterr()
    assert "No image of the last evaluation has one right answer" in shown.err and not shown.out
    assert call(["metrics", run, "--curve"]) == 0 and "50.00" in capsys.readouterr().out


def test_an_unfinished_run_without_predictions_is_finished(tmp_path: Path, capsys: Shown) -> None:
    run = answered(tmp_path / "run")
    save({**json.loads((Path(run) / "record.json").read_text()), "status": "partial"}, Path(run) / "record.json")
    (Path(run) / "predictions.npz").unlink()
    assert call(["metrics", run, "--confusion"]) == 2
    assert f"this needs; finish it with `clbench resume {run}`." in capsys.readouterr().err


def test_a_curve_shows_the_pretraining_and_the_memory(tmp_path: Path, capsys: Shown) -> None:
    stored = {"samples": 1_000_000, "statistics": 0, "parameters": 500_000}
    events = [{"event": event, "stored": stored} for event in (1, 3)]
    record = build_record(result__probe=build_probe([120, 110, 130, 90]), measurement__events=events)
    save(record, tmp_path / "record.json")
    assert call(["metrics", str(tmp_path), "--curve"]) == 0
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in head.strip("|").split("|")][-2:] == ["F_pretraining", "stored, MB"]
    ends = [[cell.strip() for cell in row.strip("|").split("|")][-2:] for row in rows]
    assert ends == [["5.00", "1.500"], ["-5.00", "1.500"], ["15.00", "-"]]
    assert call(["metrics", str(tmp_path), "--curve", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["stored"] == 1_500_000
    assert (
        call(["metrics", str(tmp_path)]) == 0 and "| F_pretraining           |  0.150000 |" in capsys.readouterr().out
    )


def test_a_joint_run_gives_intransigence(tmp_path: Path, capsys: Shown) -> None:
    each: list[list[int | None]] = [[95, None, None], [90, 85, None], [80, 82, 75]]
    for name in ("run", "joint"):
        access, table = ("past", each) if name == "joint" else ("present", None)
        (tmp_path / name).mkdir()
        save(build_record(table, strategy=name, result__strategy__access=access), tmp_path / name / "record.json")
    run, joint = str(tmp_path / "run"), str(tmp_path / "joint")
    assert call(["metrics", run, "--reference", joint, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["cil_seen"]
    assert found["I_mean"] == pytest.approx(0.15) and found["Omega_base"] == pytest.approx(0.875)
    assert call(["metrics", run, "--reference", joint]) == 0
    assert "The record says" not in capsys.readouterr().err, "no record holds what the reference gives"
    assert call(["metrics", joint, "--reference", run]) == 2
    assert "which is not trained jointly; give a run of joint." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--curve"], "need a RUN"),
        (["BWT", "--reference", "x"], "need a RUN"),
        (["RUN", "--curve", "--flips", "1,2"], "Choose one of"),
        (["RUN", "--rule", "cil_seen"], "--rule belongs to"),
        (["RUN", "--curve", "--rule", "cil"], "no prediction rule 'cil'"),
        (["RUN", "--reference", "nowhere"], "holds no record.json"),
    ],
)
def test_wrong_options(tmp_path: Path, capsys: Shown, words: list[str], fault: str) -> None:
    run = answered(tmp_path / "run")
    assert call(["metrics", *(run if word == "RUN" else word for word in words)]) == 2
    assert fault in capsys.readouterr().err
