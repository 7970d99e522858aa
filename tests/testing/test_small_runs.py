"""The small runs that metrics and loggers are checked with: every setting, with what metrics need."""

from __future__ import annotations

import pytest

from cl import registry
from cl.errors import UsageError
from cl.loggers import Logger
from cl.protocol import BLURRY, FEW_SHOT, ONLINE, TASK
from cl.records.predictions import PREDICTIONS, read_predictions
from cl.testing.small_runs import has, registered, small_run

pytestmark = pytest.mark.usefixtures("isolated")


def test_a_plain_run_has_what_metrics_need() -> None:
    with small_run() as made:
        metrics, folder = made.metrics, made.folder
        assert made.status == "complete" and read_predictions(folder / PREDICTIONS).scores
        assert metrics["til_masked"]["A_last_sample"] is not None and metrics["cil_seen"]["F_chaudhry"] is not None
    assert not folder.exists()


@pytest.mark.parametrize(("setting", "metric"), [(ONLINE, "A_auc"), (BLURRY, "A_last_sample"), (FEW_SHOT, "PD")])
def test_a_run_in_another_setting_has_its_metrics(setting: str, metric: str) -> None:
    assert has(setting) and not has(TASK)
    with small_run(setting) as made:
        assert made.metrics["cil_seen"][metric] is not None


def test_a_class_has_a_name_for_as_long_as_it_is_checked() -> None:
    class Mine(Logger):
        """Mine."""

    with registered(registry.loggers, Mine) as name:
        assert name == "mine" and name in registry.loggers
    assert "mine" not in registry.loggers
    with pytest.raises(UsageError, match="There is no logger 'mine'"), registered(registry.loggers, "mine"):
        pass
