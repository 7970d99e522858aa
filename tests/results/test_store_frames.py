"""Results as data frames: in long form, filtered, ranked, and without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import cl
from cl.errors import UsageError
from tests.help.small_runs import OPTIONS, run

pytestmark = pytest.mark.usefixtures("isolated")


def test_results_in_long_form_filtered_and_ranked(tmp_path: Path) -> None:
    for seed in (1, 2):
        for size in (5, 6):
            cl.run(
                "simplecil", "split-digits", backbone="test_vit@random", seed=seed,
                options={**OPTIONS, "stream.train_per_class": size},
            )  # fmt: skip
    results = cl.load_results()  # where results go
    assert len(results) == 4 and repr(results) == "Results(4 runs)"
    one = results.metrics.query("run == 2 and rule == 'cil_seen' and metric == 'A_last_sample'")
    assert one["value"].tolist() == [results.runs.loc[2, "cil_seen/A_last_sample"]]
    assert one[["stream", "strategy", "seed_data"]].values.tolist() == [["split-digits", "simplecil", one.iloc[0, 7]]]
    assert not results.metrics["value"].isna().any()

    hashes = results.runs["config_hash"].unique().tolist()
    chosen = results.filter(config_hash=hashes[1], seed_order=[2, 3])
    assert len(chosen) == 1 and chosen.files == tuple(
        path for path in results.files if path.parts[-3:-1] == (hashes[1], "seed2")
    )
    assert chosen.runs.index.tolist() == [0] and set(chosen.accuracy["run"]) == set(chosen.metrics["run"]) == {0}
    assert len(results.filter(strategy="slca")) == 0 == len(results.filter(strategy="slca").metrics)
    with pytest.raises(UsageError, match=r"runs have no column 'stategy'\. Did you mean strategy"):
        results.filter(stategy="slca")
    assert results.leaderboard()["n_seeds"].tolist() == [2, 2]
    html = results._repr_html_()
    assert html.count("<td>simplecil</td>") == 4 and "A_last_sample" in html
    last = float(results.runs["cil_seen/A_last_sample"].iloc[3])
    assert f"<td>{last:.4f}</td>" in html


def test_reading_results_imports_no_torch() -> None:
    run()
    code = "import sys, cl; found = cl.load_results(); found.metrics, found.leaderboard(), found._repr_html_(); "
    code += "print(len(found), 'torch' in sys.modules, cl.registry.strategies.names()[-1])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[:2] == ["1", "False"], done.stdout
