"""The environment of a run: versions, hardware and numerics."""

from __future__ import annotations

import sys

import pytest
import torch

from cl.cli import call
from cl.running import environment


def test_env_survives_a_missing_torch(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # `import torch` raises ImportError
    real = environment.metadata.version

    def version(name: str) -> str:
        if name == "torch":
            raise environment.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(environment.metadata, "version", version)
    assert call(["env"]) == 0
    shown = capsys.readouterr().out
    assert "error ModuleNotFoundError" in shown or "error ImportError" in shown
    assert "  torch " not in shown and "  numpy " in shown


def test_an_environment_names_what_computed() -> None:
    found = environment.environment(torch.device("cpu"))
    assert found["device"] == "cpu" and found["cuda"] is None and found["threads"] == torch.get_num_threads()
    assert found["packages"]["torch"] == torch.__version__.partition("+")[0] and "click" not in found["packages"]
    assert found["python"].split(".")[:2] == [str(part) for part in sys.version_info[:2]]


def test_versions_are_of_what_clbench_needs_to_run(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["click>=8", 'pyarrow>=10; extra == "parquet"', 'mypy>=1.8; extra == "dev"', "no-such-package[extra]>1"]
    monkeypatch.setattr(environment.metadata, "requires", lambda name: lines)
    assert {"clbench", "torch", "click"} <= set(environment.versions())
    assert not {"mypy", "no-such-package"} & set(environment.versions())


def test_a_broken_torch_is_described(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> int:
        raise OSError("libcuda.so: cannot open shared object file")

    monkeypatch.setattr(torch.cuda, "device_count", fail)
    assert environment.devices() == {"error": "OSError: libcuda.so: cannot open shared object file"}
