"""BibTeX of strategies, built in or of a plugin."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cl import registry
from cl.plan.references import FILE, bibtex, citation, display_name, entries, stream_display_name

ROOT = Path(__file__).resolve().parents[2]


def test_bibtex_is_keyed_by_strategies() -> None:
    found = entries(ROOT / "strategies" / FILE)
    assert set(found) <= set(registry.strategies) and "slca" in found
    for name, entry in found.items():
        assert bibtex(name) == entry and entry.count("{") == entry.count("}")
        assert re.search(r"^\s*year\s*= \{\d{4}\}", entry, re.MULTILINE)
    assert bibtex("joint") == ""


def test_a_plugin_brings_its_own_bibtex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "method_of_a_plugin.py").write_text("class Method: pass\n")
    (tmp_path / FILE).write_text("@misc{other, title={No}}\n@article{mine,\n title = {A {B}},\n}\n% the end }\n")
    monkeypatch.setattr(registry.strategies, "source", lambda name: tmp_path / "method_of_a_plugin.py")
    assert bibtex("mine") == "@article{mine,\n title = {A {B}},\n}"
    assert bibtex("absent") == ""


def test_every_strategy_has_a_name_in_print_of_its_own() -> None:
    names = [display_name(name) for name in registry.strategies if registry.strategies.docstring(name)]
    assert len(set(names)) == len(names) > 80
    assert (display_name("der-pp"), display_name("slca"), display_name("joint")) == ("DER++", "SLCA", "Joint training")
    assert display_name("not-installed") == "not-installed"


def test_streams_have_names_in_print() -> None:
    families = {name for name in registry.streams if not name[-1].isalnum() or not name[0].isalnum()}
    ours = [name for name in registry.streams if registry.streams.distribution(name).name == "clbench"]
    single = [name for name in ours if name not in families and not name.startswith("avalanche")]
    printed = [stream_display_name(name) for name in single]
    assert len(set(printed)) == len(printed) > 20 and not set(printed) & set(single)
    assert stream_display_name("split-cifar100") == "Split CIFAR-100"
    assert stream_display_name("folder:birds") == "folder:birds" and stream_display_name("gone") == "gone"


def test_citations_name_authors_and_year() -> None:
    found = {name: citation(name) for name in ("ranpac", "avalanche/lwf", "hat", "joint", "not-installed")}
    ranpac, lwf, hat = found["ranpac"], found["avalanche/lwf"], found["hat"]
    assert ranpac is not None and lwf is not None and hat is not None
    assert (ranpac.words, ranpac.url) == ("McDonnell et al., 2023", "https://arxiv.org/abs/2307.02251")
    assert (lwf.words, lwf.url, lwf.key) == ("Li and Hoiem, 2016", "", "avalanche/lwf")
    assert hat.words == "Serr\u00e0 et al., 2018"
    assert found["joint"] is None and found["not-installed"] is None
    for name in entries(ROOT / "strategies" / FILE):
        cited = citation(name)
        assert cited is not None and re.fullmatch(r"[\w .'-]+, \d{4}", cited.words), cited
