"""Metrics of other packages: found, computed, refused if they cannot be used, and known by their code."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cl import registry
from cl.errors import ClbenchError, ContractError
from cl.records import plugin_metrics
from cl.records.matrix import AccuracyMatrix
from cl.records.metrics import BUILT_IN, METRICS, metrics_of, metrics_of_rule, recorded_metrics, scale_of
from cl.records.plugin_metrics import MetricPlugin, sections
from cl.records.reasons import why_undefined
from tests.help.records import build_record

Plugin = Callable[..., Path]

SOURCE = """
    from cl import MetricPlugin
    from {module}_help import lowest

    class Worst(MetricPlugin):
        '''The worst task.

        Formula: min
            over tasks
        Source: us
        '''

        higher_is_better = True

        def compute(self, matrix):
            return lowest(matrix.accuracy[-1])

    class Broken(MetricPlugin):
        '''Divides by zero.'''

        higher_is_better = False

        def compute(self, matrix):
            return 1 / 0

    class BWT(Worst):
        '''The name of a metric of clbench.'''
"""
HELP = "def lowest(row): return float(row.min())\n"


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> registry.Registry[Any]:
    """The registry, which finds what is installed after this fixture."""
    plugin_metrics._warn.cache_clear()
    fresh: registry.Registry[Any] = registry.Registry("clbench.metrics", "metric", ("compute", "higher_is_better"))
    monkeypatch.setattr(registry, "metrics", fresh)
    return fresh


@pytest.fixture
def installed(plugin: Plugin, metrics: registry.Registry[Any], tmp_path: Path) -> Path:
    """The file that the metrics "worst", "broken" and "BWT" compute with."""
    module = f"m{abs(hash(tmp_path))}"
    points = {"worst": f"{module}:Worst", "broken": f"{module}:Broken", "BWT": f"{module}:BWT"}
    files = {module: SOURCE.format(module=module), f"{module}_help": HELP}
    return plugin("acme", files, {"clbench.metrics": points}) / f"{module}_help.py"


@pytest.fixture
def registered(metrics: registry.Registry[Any]) -> Iterator[Callable[..., None]]:
    """Registers a class with some attributes as "mine"."""

    def register(**attributes: Any) -> None:
        attributes = {"__doc__": "Mine.", "higher_is_better": True, "compute": lambda self, matrix: 0.5, **attributes}
        metrics.register("mine", type("Mine", (MetricPlugin,), attributes), replace=True)

    yield register


def result() -> dict[str, Any]:
    found: dict[str, Any] = build_record(rules=("cil_seen", "til_masked"))["result"]
    return found


def test_a_metric_of_a_package_is_a_metric(installed: Path) -> None:
    metric = METRICS["worst"]
    assert (metric.title, metric.formula, metric.source) == ("The worst task", "min over tasks", "us")
    assert metric.higher_is_better and not metric.recorded and metric.plugin and metric.range == (0.0, 1.0)
    last = [row for row in result()["accuracy"]["cil_seen"]["correct"]][-1]
    assert metrics_of_rule(result(), "cil_seen", ["worst"]) == {"worst": min(last) / 100}
    assert "worst" in METRICS and "absent" not in METRICS and scale_of("worst") == 100


def test_no_record_holds_it(installed: Path) -> None:
    before = build_record()
    assert set(recorded_metrics(before["result"])["cil_seen"]) <= set(BUILT_IN)
    assert build_record()["result_sha256"] == before["result_sha256"]


def test_one_that_fails_leaves_the_others_alone(installed: Path, caplog: pytest.LogCaptureFixture) -> None:
    found = metrics_of(result())["cil_seen"]
    assert found["broken"] is None and found["worst"] is not None and found["A_last_sample"] is not None
    assert [*found][-2:] == ["broken", "worst"], "after those of clbench"
    said = " ".join(caplog.messages)
    assert "Undefined: metric 'broken' of acme 1.5 failed with ZeroDivisionError" in said
    assert "Left out: metric 'BWT' of acme 1.5 has the name of a metric of clbench and is not used; rename it." in said
    metrics_of(result())
    assert len(caplog.messages) == 2, "each is said once"
    with pytest.raises(ClbenchError, match=r"failed with ZeroDivisionError: division by zero, raised at .*\.py:24; "):
        metrics_of_rule(result(), "cil_seen", ["broken"])
    assert METRICS["BWT"] is BUILT_IN["BWT"]


def test_one_that_cannot_be_imported_is_left_out(
    plugin: Plugin, metrics: registry.Registry[Any], caplog: pytest.LogCaptureFixture
) -> None:
    plugin("acme", {"bad_metric": "import no_such_module\n"}, {"clbench.metrics": {"bad": "bad_metric:X"}})
    assert set(METRICS) == set(BUILT_IN)
    assert "Left out: metric 'bad' of acme 1.5 cannot be imported" in caplog.text
    with pytest.raises(ClbenchError, match="cannot be imported"):
        METRICS["bad"]


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"higher_is_better": "yes"}, "higher_is_better must be True or False"),
        ({"unit": 1}, "unit is 1"),
        ({"lowest": "0"}, "lowest is '0'"),
        ({"highest": True}, "highest is True"),
        ({"smooth": 0}, "smooth is 0"),
        ({"needs": ["result"]}, r"needs is \['result'\]"),
        ({"needs": ("results",)}, "needs names 'results', which is none of baseline, "),
    ],
)
def test_declarations_that_cannot_be_used(registered: Callable[..., None], attributes: Any, says: str) -> None:
    registered(**attributes)
    with pytest.raises(ContractError, match=says):
        METRICS["mine"]


def test_a_class_without_a_direction_is_no_metric(metrics: registry.Registry[Any], plugin: Plugin) -> None:
    plugin(
        "acme", {"no_direction": "class X:\n    def compute(self): ..."}, {"clbench.metrics": {"x": "no_direction:X"}}
    )
    with pytest.raises(ContractError, match="is a class without higher_is_better"):
        METRICS["x"]


def test_it_gets_what_it_needs(registered: Callable[..., None]) -> None:
    def compute(self: Any, matrix: AccuracyMatrix, result: Any, rule: str) -> float:
        return float(result["stream"]["n_tasks"]) if rule == "cil_seen" else math.nan

    registered(needs=("result", "rule"), compute=compute, unit="tasks", highest=math.inf)
    assert metrics_of_rule(result(), "cil_seen", ["mine"]) == {"mine": 3.0} and scale_of("mine") == 1
    assert metrics_of_rule(result(), "til_masked", ["mine"]) == {"mine": None}
    assert why_undefined(result(), "til_masked", "mine") == "its formula gives no number for this run"


def test_a_cell_that_is_run_again_counts(registered: Callable[..., None]) -> None:
    registered()
    assert metrics_of_rule(result(), "cil_seen", ["mine"]) == {"mine": 0.5}
    registered(compute=lambda self, matrix: 0.25)
    assert metrics_of_rule(result(), "cil_seen", ["mine"]) == {"mine": 0.25}


def test_its_code_is_that_of_all_files_that_it_uses(installed: Path) -> None:
    before = METRICS.code_of("worst")
    assert before.startswith("acme 1.5 ") and METRICS.code_of("A_last_sample") == "" and before in METRICS.code_of_all()
    installed.write_text("# a comment\n" + HELP)
    assert METRICS.code_of("worst") == before
    installed.write_text(HELP.replace("min", "max"))
    assert METRICS.code_of("worst") != before


def test_one_without_source_has_a_key_of_this_process(metrics: registry.Registry[Any]) -> None:
    space: dict[str, Any] = {"MetricPlugin": MetricPlugin, "__name__": "nowhere"}
    exec("class Made(MetricPlugin):\n    '''Made.'''\n    higher_is_better = True", space)
    metrics.register("made", space["Made"])
    assert plugin_metrics._PROCESS in METRICS.code_of("made")


def test_sections_of_a_docstring() -> None:
    doc = "A title.\n\nFormula: a\n    b\nSource: c\n\nMore text."
    assert sections(doc) == ("A title", {"Formula": "a b", "Source": "c"})
    assert sections("") == ("", {})
