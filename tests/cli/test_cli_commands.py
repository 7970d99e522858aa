from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from filelock import FileLock

import cl
from cl import api, registry
from cl.cli import call
from cl.cli.app import COMMANDS
from cl.errors import ClbenchError, NonFiniteLoss, UsageError
from cl.options import option
from cl.plan.plan import make_plan
from cl.records.record import config_hash
from cl.strategy import Strategy

QUICK = ["--stream", "split-digits", "--limit", "2", "--set", "stream.tasks=2"]


class Toy(Strategy):
    """Predicts its favourite class; fails when told to."""

    learned: list[int]

    @dataclass(frozen=True)
    class Options:
        favourite: int = option(0, "class to predict", ge=0)
        fail: str = option("", "how to end the second task")

    def setup(self, info: Any) -> None:
        self.learned = []

    def learn(self, view: Any) -> None:
        if view.task == 1:
            match self.options.fail:
                case "loss":
                    raise NonFiniteLoss("the loss became nan; lower lr.")
                case "bug":
                    raise ZeroDivisionError("division by zero")
                case "interrupt":
                    raise KeyboardInterrupt
                case "terminate":
                    os.kill(os.getpid(), signal.SIGTERM)
        self.learned = [*self.learned, view.task]

    def predict(self, inputs: Any, task: int | None = None) -> torch.Tensor:
        scores = torch.zeros(len(inputs), 10)
        scores[:, self.options.favourite] = 1
        return scores


@pytest.fixture(autouse=True)
def toy() -> Iterator[None]:
    names = registry.strategies
    names.register("toy", Toy)
    yield
    names.unregister("toy")


def records(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "results").rglob("record.json"))


def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A real process, so that sys.modules says what was imported."""
    code = (
        "import sys; from cl.cli import call; code = call(sys.argv[1:]);"
        "print(*sorted(sys.modules), file=sys.stderr); sys.exit(code)"
    )
    root = str(Path(cl.__file__).parent.parent)
    environment = {**os.environ, "PYTHONPATH": root}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment, check=False
    )


HEAVY = {"torch", "timm", "avalanche", "pandas", "scipy", "matplotlib", "sklearn"}


@pytest.mark.parametrize(
    ("arguments", "never"),
    [
        (["--help"], HEAVY | {"numpy", "rich", "cl.api", "cl.registry"}),
        (["run", "--help"], HEAVY | {"numpy", "rich"}),
        (["--version"], HEAVY | {"numpy", "rich"}),
        (["list"], HEAVY),
        (["list", "strategies", "--json"], HEAVY | {"numpy"}),
    ],
)
def test_help_and_list_import_nothing_heavy(arguments: list[str], never: set[str]) -> None:
    done = ask(*arguments)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert never.isdisjoint(done.stderr.split())


def test_importing_cl_imports_nothing_heavy() -> None:
    code = "import sys, cl; cl.option; cl.__version__; assert 'torch' not in sys.modules; assert 'run' in dir(cl)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(cl.__file__).parent.parent)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        cl.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["lst"], 2, "There is no command 'lst'. Did you mean list?"),
        (["run", "--strateegy", "x"], 2, "No such option"),
        (["run"], 2, "Choose a strategy with --strategy"),
        (["run", "-s", "toi", *QUICK], 2, "There is no strategy 'toi'. Did you mean toy?"),
        (["run", "-s", "toy", "--stream", "split-digit"], 2, "Did you mean split-digits"),
        (["run", "-s", "toy", *QUICK, "--set", "favorite=1"], 2, "Did you mean favourite?"),
        (["run", "-s", "toy", *QUICK, "--set", "favourite=x"], 2, "favourite must be a whole number, not 'x'."),
        (["run", "-s", "toy", *QUICK, "--set", "favourite"], 2, "--set takes KEY=VALUE"),
        (["run", "-s", "toy", *QUICK, "--set", "stream.tasks=99"], 2, "tasks=99"),
        (["run", "-s", "toy", *QUICK, "--seed", "x"], 2, "--seed must be a whole number"),
        (["run", "-s", "toy", *QUICK, "--backbone", "vit_micro_patch4_33"], 2, "Did you mean vit_micro_patch4_32"),
        (["run", "-s", "toy", *QUICK, "--device", "cuda:99"], 2, "--device cuda:99 is not available here"),
        (["run", "-s", "toy", "--stream", "split-cifar100"], 3, "CLBENCH_DATA_PATH"),
        (["info", "sclca"], 2, "Did you mean slca"),
        (["list", "strategy", "*"], 2, "Did you mean strategies"),
        (["leaderboard", "/no/such/folder"], 2, "There are no results at /no/such/folder"),
        (["resume", "/no/such/folder"], 2, "/no/such/folder holds no run"),
    ],
)
def test_mistakes_get_one_sentence_and_their_exit_code(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(arguments) == code
    shown = capsys.readouterr()
    assert says in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""
    assert len([line for line in shown.err.splitlines() if line.startswith("Error:")]) == 1


def test_a_run_prints_its_table_and_is_skipped_the_second_time(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    command = ["run", "-s", "toy", *QUICK]
    assert call(command) == 0
    shown = capsys.readouterr()
    assert "forgetting" in shown.out
    (path,) = records(tmp_path)
    assert f"Record: {path}" in shown.out
    assert "untuned" in shown.err
    record = json.loads(path.read_text())
    assert record["status"] == "complete"
    assert record["result"]["limited"] is True
    assert record["result"]["config"]["stream.tasks"] == {"value": 2, "origin": "command line"}
    assert record["result"]["strategy"]["preset"] is None
    assert (path.parent / "config.toml").is_file()
    assert not (path.parent / "checkpoint").exists()

    before = path.stat().st_mtime_ns
    assert call([*command, "--json", "-q"]) == 0
    shown = capsys.readouterr()
    assert json.loads(shown.out) == record
    assert shown.err == ""
    assert path.stat().st_mtime_ns == before
    assert call([*command, "--existing", "never"]) == 2
    assert "choose --existing only-missing" in capsys.readouterr().err
    assert call([*command, "--existing", "always", "-q"]) == 0
    again = json.loads(path.read_text())
    assert again["result_sha256"] == record["result_sha256"]
    assert again["run_id"] != record["run_id"]


def test_a_grid_reports_failures_goes_on_and_returns_the_first_code(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    config = tmp_path / "c.toml"
    config.write_text('[options]\nfail = "loss"\n')
    assert call(["run", "-s", "toy", *QUICK, "--seed", "1,2", "-c", str(config)]) == 4
    shown = capsys.readouterr()
    assert shown.err.count("Error: the loss became nan; lower lr. (toy on split-digits") == 2
    assert "[2/2]" in shown.err
    assert [json.loads(path.read_text())["status"] for path in records(tmp_path)] == ["failed", "failed"]


def test_a_bug_in_a_method_is_one_sentence_and_a_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call(["run", "-s", "toy", *QUICK, "--set", "fail=bug"]) == 1
    shown = capsys.readouterr()
    folder = next((tmp_path / "results").rglob("config.toml")).parent
    assert "Error: unexpected ZeroDivisionError: division by zero." in shown.err
    assert f"The traceback is in {folder / 'log.txt'}" in shown.err
    assert "Traceback" not in shown.err
    assert "Traceback" in (folder / "log.txt").read_text()


def test_tracebacks_on_request(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_DEBUG", "1")
    assert call(["run", "-s", "toy", *QUICK, "--set", "fail=bug"]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["interrupt", "terminate"])
def test_an_interrupted_run_says_so_and_continues(
    how: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["run", "-s", "toy", *QUICK, "--set", f"fail={how}"]
    before = signal.getsignal(signal.SIGTERM)
    assert call(command) == 130
    assert signal.getsignal(signal.SIGTERM) is before
    assert "Interrupted; the same command continues" in capsys.readouterr().err
    (path,) = records(tmp_path)
    assert json.loads(path.read_text())["status"] == "partial"
    plain = Toy.learn
    monkeypatch.setattr(Toy, "learn", lambda self, view: plain(self, view) if view.task != 1 else None)
    assert call(["resume", str(path.parent), "-q"]) == 0
    record = json.loads(path.read_text())
    assert record["status"] == "complete"
    assert record["measurement"]["resumed_from"]


def test_two_processes_never_share_a_run() -> None:
    plan = make_plan("toy", "split-digits", limit=2)
    plan.folder.mkdir(parents=True)
    with FileLock(plan.folder / ".lock"), pytest.raises(ClbenchError, match="Another process is running"):
        api.execute(plan)


def test_a_file_in_the_place_of_a_folder_of_runs_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "split-digits").write_text("a stream file, say")
    assert call(["run", "-s", "toy", *QUICK, "--results", str(tmp_path / "here")]) == 1
    assert "a file is in the place of a folder; move it" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="needs permissions that bind")
def test_an_unwritable_results_folder_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert call(["run", "-s", "toy", *QUICK, "--results", str(locked / "results")]) == 1
    assert "the folder is not writable" in capsys.readouterr().err


def test_a_results_path_that_is_a_file_is_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert call(["run", "-s", "toy", *QUICK, "--results", str(tmp_path / "file" / "x")]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("Error: cannot write")
    assert "Traceback" not in shown


@pytest.mark.slow  # a disk that fills in the middle of a run is in test_failures.py
@pytest.mark.skipif(os.name == "nt", reason="needs RLIMIT_FSIZE")
@pytest.mark.parametrize("size", [300, 4096])
def test_a_full_disk_is_one_sentence_and_loses_nothing(size: int, tmp_path: Path, plugin: Any) -> None:
    source = """
        import torch
        from cl.strategy import Strategy

        class Still(Strategy):
            def learn(self, view):
                pass

            def predict(self, inputs, task=None):
                return torch.zeros(len(inputs), 10)
    """
    site = plugin("still", {"still_method": source}, {"clbench.strategies": {"still": "still_method:Still"}})
    limit = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY));"
    code = "import sys; from cl.cli import call; sys.exit(call(sys.argv[1:]))"
    command = ["run", "-s", "still", *QUICK]
    paths = os.pathsep.join([str(Path(cl.__file__).parent.parent), str(site)])
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}

    def attempt(prefix: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-c", prefix + code, *command]
        return subprocess.run(program, capture_output=True, text=True, env=environment, check=False)

    full = attempt(limit)
    assert full.returncode == 1, full.stderr
    assert "the disk is full" in full.stderr
    assert "Traceback" not in full.stderr
    again = attempt("")
    assert again.returncode == 0, again.stderr
    (path,) = records(tmp_path)
    assert json.loads(path.read_text())["status"] == "complete"


def test_a_damaged_record_is_a_data_error(capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan("toy", "split-digits", limit=2, options={"stream.tasks": 2})
    plan.folder.mkdir(parents=True)
    (plan.folder / "record.json").write_text('{"half": ')
    assert call(["run", "-s", "toy", *QUICK]) == 3
    assert "not valid JSON" in capsys.readouterr().err


def test_dry_run_describes_and_touches_nothing(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call(["run", "-s", "toy", *QUICK, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "2 x 5 classes, 10 in all" in shown
    assert "20 to train on, 20 to test on" in shown
    assert "stream.train_per_class  2  [--limit]" in shown
    assert list(tmp_path.iterdir()) == []

    assert call(["run", "-s", "toy", "--stream", "split-cifar100", "--dry-run", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert about["state"] == "new"
    assert "CLBENCH_DATA_PATH" in about["stream"]["missing"]
    assert about["backbone"]["parameters"] > 2e6
    assert list(tmp_path.iterdir()) == []
    assert call(["run", "-s", "toy", *QUICK, "--dry-run", "-b", "vit_micro_patch4_33"]) == 2


def test_list_shows_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["list"]) == 0
    shown = capsys.readouterr().out
    for expected in ("Strategies:", "slca", "folder:PATH", "vit_micro_patch4_32", "F_chaudhry", "[registered at run"):
        assert expected in shown
    assert call(["list", "metrics", "A_*", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found
    assert all(item["name"].startswith("A_") and item["summary"] for item in found)
    assert call(["list", "s*ca"]) == 0
    assert "slca" in capsys.readouterr().out


def test_list_names_both_owners_of_a_collision(
    plugin: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin("acme", {"acme_again": ""}, {"clbench.strategies": {"slca": "acme_again:X"}})
    monkeypatch.setattr(registry, "strategies", registry.Registry("clbench.strategies", "strategy"))
    assert call(["list", "strategies"]) == 0
    assert "'slca' is provided by" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("toy", ["toy (strategy)", "Rules", "favourite", "class to predict", "int, default 0; at least 0"]),
        ("simplecil", ["Paper: Zhou", "@article{simplecil,"]),
        ("split-digits", ["split-digits (stream)", "stream.tasks"]),
        ("split-cifar100", ["Licence  none stated", "Cite     Krizhevsky"]),
        ("folder:", ["folder: (stream)", "stream.size"]),
        ("F_chaudhry", ["F_chaudhry (metric)", "Formula", "lower"]),
        ("vit_micro_patch4_32", ["vit_micro_patch4_32 (backbone)", "3x32x32", "backbone.normalize"]),
    ],
)
def test_info_describes_everything(name: str, expected: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert call(["info", name]) == 0
    shown = capsys.readouterr().out
    for text in expected:
        assert text in shown
    assert call(["info", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == name


def test_every_strategy_and_stream_has_info(capsys: pytest.CaptureFixture[str]) -> None:
    for name in [*registry.strategies, *registry.streams]:
        assert call(["info", name]) == 0
        assert "(--set KEY=VALUE)" in capsys.readouterr().out or name == "simplecil"


def test_leaderboard_ranks_complete_runs(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    board = ["leaderboard", str(tmp_path / "results")]
    small = ["--stream", "split-digits", "--set", "stream.tasks=2", "--set", "stream.train_per_class=2"]
    for favourite in ("0", "9"):
        run = ["run", "-s", "toy", *small, "--set", "stream.test_per_class=2", "--seed", "1,2", "-q"]
        assert call([*run, "--set", f"favourite={favourite}"]) == 0
    capsys.readouterr()
    assert call([*board, "--csv", str(tmp_path / "board.csv")]) == 0
    shown = capsys.readouterr().out
    assert "split-digits@1 tasks=2" in shown and "on vit_micro_patch4_32" in shown
    for path in records(tmp_path):  # the row says where its runs are
        assert f"| {path.parent.parent.name} |" in shown
        record = json.loads(path.read_text())
        assert config_hash(record) == record.pop("config_hash") == config_hash(record) == path.parent.parent.name
    assert (tmp_path / "board.csv").read_text().startswith("rank,strategy")
    assert call([*board, "--json", "--metric", "F_chaudhry"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    assert call([*board, "--metric", "F_chaudry"]) == 2


def test_limited_runs_are_marked_and_unranked(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert call(["run", "-s", "toy", *QUICK, "-q"]) == 0
    assert call(["leaderboard", str(tmp_path / "results")]) == 0
    assert "| limited | toy" in capsys.readouterr().out


def test_python_call_returns_frames_and_the_learner(tmp_path: Path) -> None:
    result = cl.run("toy", "split-digits", limit=2, options={"stream.tasks": 2, "favourite": 1}, seed=3)
    assert result.status == "complete"
    assert result.folder.name == "seed3"
    assert result.learner.learned == [0, 1]
    assert list(result.accuracy["rule"].unique()) == ["cil_seen", "til_masked"]
    assert result.accuracy.query("rule == 'cil_seen'")["accuracy"].max() == pytest.approx(0.2)
    assert "A_last_sample" in result.metrics["cil_seen"]
    assert "forgetting" in result._repr_html_()
    assert result.learner.predict_images(torch.zeros(3, 1, 8, 8, dtype=torch.uint8)).shape == (3, 10)
    again = cl.resume(result.folder)
    with pytest.raises(UsageError, match="keeps no learner"):
        _ = again.learner
    assert again.record["result"] == result.record["result"]
    assert len(cl.load_results(tmp_path / "results").runs) == 1
    with pytest.raises(UsageError, match="--existing must be one of"):
        cl.run("toy", "split-digits", existing="sometimes")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("clbench run --strategy sl", "slca"),
        ("clbench run --strategy finetune,sl", "finetune,slca"),
        ("clbench run --stream split-d", "split-digits"),
        ("clbench li", "list"),
        ("clbench leaderboard --metric F_ch", "F_chaudhry"),
    ],
)
def test_names_complete_in_the_shell(words: str, expected: str) -> None:
    environment = {"_CLBENCH_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(len(words.split()) - 1)}
    root = Path(cl.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-m", "cl.cli"],
        capture_output=True,
        text=True,
        env={**os.environ, **environment, "PYTHONPATH": str(root)},
        check=False,
    )
    assert f"plain,{expected}" in done.stdout.splitlines(), done.stderr


def test_every_command_has_help_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    for name in COMMANDS:
        assert call([name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert "\x1b[" not in shown
        assert "Examples:" in shown or name == "resume"
