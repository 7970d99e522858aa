"""States of runs, and how a run differs from the undisturbed one."""

from __future__ import annotations

import json

from tools.soak.scenarios import SCENARIOS, Workshop


def test_the_states_of_a_run(workshop: Workshop) -> None:
    workshop.scenario = SCENARIOS["toml"]
    workshop.enter("complete")
    assert workshop.differs() == "" and workshop.leftovers() == []
    assert len(list((workshop.work / "results").rglob("record.json"))) == 2  # the run, and another to compare with
    workshop.enter("halfway-8")
    assert "status" in workshop.differs() or "record" in workshop.differs()
    assert set(workshop.leftovers()) - {".lock.1"} == {"checkpoint"}, "and perhaps the lease of the killed process"
    workshop.enter("warm")
    assert not (workshop.work / "results").exists()
    assert list((workshop.work / "home" / "decoded").glob("*/pixels.npy"))


def test_a_change_of_the_result_is_found(workshop: Workshop) -> None:
    workshop.scenario = SCENARIOS["toml"]
    workshop.enter("complete")
    path = workshop.folder / "record.json"
    record = json.loads(path.read_text())
    record["result"]["metrics"] = {}
    path.write_text(json.dumps(record))
    assert workshop.differs() == "another result: metrics"
    path.write_text("{")
    assert workshop.differs().startswith("the record cannot be read")


def test_a_change_of_the_predictions_is_found(workshop: Workshop) -> None:
    workshop.scenario = SCENARIOS["toml"]
    workshop.enter("complete")
    path = workshop.folder / "predictions.npz"
    path.write_bytes(path.read_bytes() + b"more")  # a zip archive may be followed by anything
    assert workshop.differs() == ""
    path.write_bytes(b"")
    assert workshop.differs() == "other predictions"


def test_a_run_that_continues_is_equal(workshop: Workshop) -> None:
    workshop.scenario = SCENARIOS["toml"]
    workshop.enter("halfway-5")
    done = workshop.run(workshop.command())
    assert done.code == 0 and workshop.differs() == ""
