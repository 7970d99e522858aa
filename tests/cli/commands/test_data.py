"""`clbench data` on a tiny dataset that a local server offers: listed, fetched, found, and removed after a question."""

from __future__ import annotations

import json
import os
import re
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import torch

from cl import registry
from cl.cli import call
from cl.strategy import Strategy
from tests.help.tiny_dataset import Quiet, Shown, Tiny, write_pack


class Zeros(Strategy):
    """Learns nothing."""

    def learn(self, view: Any) -> None:
        pass

    def predict(self, inputs: Any, task: int | None = None) -> torch.Tensor:
        return torch.zeros(len(inputs), 100)


def test_list_says_what_is_here_and_what_it_may_be_used_for(tiny: Tiny, capsys: Shown) -> None:
    assert call(["data", "list"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"\| cifar100 +\| not here +\|", shown) and "170.5 MB" in shown
    assert "Licence: none stated" in shown and "Cite: Krizhevsky" in shown
    assert re.search(r"size \| fingerprints", shown) and re.search(r"cifar100 .*\| known ", shown)
    assert call(["data", "get", "cifar100"]) == 0
    capsys.readouterr()
    assert call(["data", "list", "--json"]) == 0
    (found,) = [item for item in json.loads(capsys.readouterr().out) if item["name"] == "cifar100"]
    assert found["here"] == str(tiny.cached) and found["bytes"] == tiny.served.stat().st_size
    assert found["fingerprints_known"] is True and "verified" not in found


def test_get_shows_licence_and_citation_before_it_downloads_and_downloads_once(
    tiny: Tiny, capsys: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    serve = SimpleHTTPRequestHandler.do_GET

    def look(handler: SimpleHTTPRequestHandler) -> None:
        seen.append(capsys.readouterr().err)
        serve(handler)

    monkeypatch.setattr(Quiet, "do_GET", look)
    assert call(["data", "get", "cifar100"]) == 0
    assert "Downloading CIFAR-100" in seen[0] and "Licence: none stated" in seen[0] and "cite: Krizhevsky" in seen[0]
    assert f"CIFAR-100 is here now: {tiny.cached}" in capsys.readouterr().out
    assert call(["data", "get", "cifar100"]) == 0
    shown = capsys.readouterr()
    assert "was here already" in shown.out and "Downloading" not in shown.err
    assert len(tiny.requests) == len(seen) == 1


def test_get_as_json_is_what_list_says_and_all_else_goes_to_stderr(tiny: Tiny, capsys: Shown) -> None:
    for more, here in ((["--dry-run"], None), ([], str(tiny.cached)), ([], str(tiny.cached))):
        assert call(["data", "get", "cifar100", "--json", *more]) == 0
        shown = capsys.readouterr()
        found = json.loads(shown.out)
        assert found["name"] == "cifar100" and found["here"] == here and "Licence: none stated" in shown.err
        assert call(["data", "list", "--json"]) == 0
        assert found in json.loads(capsys.readouterr().out)


def test_a_run_that_downloads_says_so_on_stderr_first(tiny: Tiny, capsys: Shown) -> None:
    registry.strategies.register("zeros", Zeros)
    try:
        assert call(["run", "-s", "zeros", "--stream", "split-cifar100", "--max-tasks", "1"]) == 0
    finally:
        registry.strategies.unregister("zeros")
    shown = capsys.readouterr()
    assert "Licence: none stated" in shown.err and "Krizhevsky" in shown.err
    assert "Licence" not in shown.out
    assert shown.err.index("Licence") < shown.err.index("download tiny.npz")


def test_offline_and_unknown_names_are_one_sentence(tiny: Tiny, capsys: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLBENCH_OFFLINE", "1")
    assert call(["data", "get", "cifar100"]) == 3
    assert "CLBENCH_OFFLINE forbids downloading it" in capsys.readouterr().err
    assert call(["data", "verify", "cifar100"]) == 3
    assert "`clbench data get cifar100` fetches it" in capsys.readouterr().err
    for action in ("get", "verify", "where", "remove"):
        assert call(["data", action, "cifar1000"]) == 2
        shown = capsys.readouterr().err
        assert "There is no dataset" in shown and "'cifar1000'. Did you mean cifar100" in shown
    assert tiny.requests == []


def test_where_shows_every_place_in_order(
    tiny: Tiny, capsys: Shown, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    second = write_pack(tmp_path / "b" / "images" / "tiny_pack.npz")
    monkeypatch.setenv("CLBENCH_DATA_PATH", os.pathsep.join([str(tmp_path / "a"), str(tmp_path / "b")]))
    assert call(["data", "get", "cifar100"]) == 0  # found, not fetched
    assert tiny.requests == []
    write_pack(tiny.cached)
    capsys.readouterr()
    assert call(["data", "where", "cifar100", "--json"]) == 0
    places = json.loads(capsys.readouterr().out)
    assert [place["folder"] for place in places if place["names"] == ["tiny_pack.npz"]][::5] == [
        str(tmp_path / "a"), str(tmp_path / "b"), str(tiny.cached.parent),
    ]  # fmt: skip
    assert [(place["folder"], place["root"], place["used"]) for place in places if place["found"]] == [
        (str(second.parent), "CLBENCH_DATA_PATH", True),
        (str(tiny.cached.parent), "cache", False),
    ]
    assert call(["data", "where", "cifar100"]) == 0
    shown = capsys.readouterr().out
    assert "| used " in shown and "| found " in shown and "no such folder" in shown


@pytest.mark.parametrize(("answer", "code", "there"), [("y\n", 0, False), ("n\n", 1, True)])
def test_remove_asks(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch, capsys: Shown, answer: str, code: int, there: bool
) -> None:
    write_pack(tiny.cached)
    monkeypatch.setattr("cl.cli.text.sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda *_: answer.strip())
    assert call(["data", "remove", "cifar100"]) == code
    assert tiny.cached.exists() is there


def test_get_of_what_is_here_and_not_the_dataset_is_an_error(tiny: Tiny, capsys: Shown) -> None:
    other = write_pack(tiny.cached.with_name("tiny_pack.npz"), seed=1)
    assert call(["data", "get", "cifar100"]) == 3
    shown = capsys.readouterr()
    assert f"CIFAR-100 is here and is not what is published: {other} does not hold the train images" in shown.err
    assert "was here already" not in shown.out
    write_pack(other)
    assert call(["data", "get", "cifar100"]) == 0
    assert "was here already" in capsys.readouterr().out and tiny.requests == []


@pytest.mark.parametrize("linked", ["images", "images/tiny_pack.npz"])
def test_remove_follows_no_link_out_of_the_cache(linked: str, tiny: Tiny, tmp_path: Path, capsys: Shown) -> None:
    target = write_pack(tmp_path / "mine" / "images" / "tiny_pack.npz")
    link = tiny.cached.parent / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "mine" / linked)
    assert call(["data", "remove", "cifar100", "--yes"]) == 0
    shown = capsys.readouterr().out
    assert target.exists()
    if linked == "images":  # other datasets may be in it
        assert f"Kept, because it is not in the cache: {link} is a link to {target.parent}" in shown
        assert link.is_symlink()
    else:
        assert f"{link}  " in shown and f"(a link; {target} is kept)" in shown and not link.is_symlink()
