"""Names: built in, of plugins, and registered at run time."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import cl
from cl import registry
from cl.cli import call
from cl.errors import ClbenchError, UsageError
from cl.registry import Distribution, Registry, own_version
from tests.help.broken_plugins import SOURCES, install

pytestmark = pytest.mark.usefixtures("isolated")

Plugin = Callable[..., Path]


def fresh() -> Registry[object]:
    return Registry("clbench.strategies", "strategy")


def test_built_ins_are_there_with_their_summaries() -> None:
    assert {"finetune", "joint", "linear-probe", "simplecil", "slca"} <= set(registry.strategies)
    assert {"folder:", "split-cifar10", "split-cifar100", "split-digits"} <= set(registry.streams)
    for kind in (registry.strategies, registry.streams, registry.backbones):
        for name in kind:
            if kind.distribution(name).name == "clbench":
                assert kind.summary(name), name
                assert kind.source(name) is not None
    assert registry.strategies.distribution("slca") == Distribution("clbench", own_version())


def test_unknown_names_say_what_was_meant() -> None:
    with pytest.raises(UsageError, match=r"There is no strategy 'SLAC'\. Did you mean slda or slca"):
        registry.strategies.get("SLAC")
    with pytest.raises(UsageError, match=r"no strategy 'qqqqqq'\. `clbench list strategies` names all \d\d\."):
        registry.strategies.get("qqqqqq")
    with pytest.raises(UsageError, match=r"Known: local, ray, slurm\."):
        registry.executors.get("qqqqqq")


def test_summaries_are_read_without_importing_a_plugin_or_its_parents(plugin: Plugin) -> None:
    boom = 'raise RuntimeError("imported")\n'
    method = f'{boom}class Method:\n    """A method.\n\n    More.\n    """\n'
    plugin(
        "acme",
        {"acme_pkg.__init__": boom, "acme_pkg.sub.__init__": boom, "acme_pkg.sub.methods": method},
        {"clbench.strategies": {"acme/method": "acme_pkg.sub.methods:Method"}},
    )
    names = fresh()
    assert names.summary("acme/method") == "A method."
    assert names.distribution("acme/method") == Distribution("acme", "1.5")
    assert not any(name.startswith("acme_pkg") for name in sys.modules)


def test_a_plugin_that_cannot_be_imported_names_its_distribution(plugin: Plugin) -> None:
    plugin("acme", {"acme_broken": "import no_such_module\n"}, {"clbench.strategies": {"broken": "acme_broken:X"}})
    with pytest.raises(ClbenchError) as caught:
        fresh().get("broken")
    assert "strategy 'broken' of acme 1.5 cannot be imported" in str(caught.value)
    assert "no_such_module" in str(caught.value)
    assert fresh().summary("broken") == ""


def test_two_distributions_with_one_name_are_an_error_that_names_both(plugin: Plugin) -> None:
    plugin("one", {"one_mod": ""}, {"clbench.strategies": {"same": "one_mod:X"}})
    plugin("two", {"two_mod": ""}, {"clbench.strategies": {"same": "two_mod:X"}})
    names = fresh()
    assert "same" in names.names()
    for ask in (names.get, names.summary, names.distribution):
        with pytest.raises(UsageError, match=r"'same' is provided by (one 1\.5 and two 1\.5|two 1\.5 and one 1\.5)"):
            ask("same")


def test_a_plugin_cannot_replace_a_built_in_unnoticed(plugin: Plugin) -> None:
    plugin("acme", {"acme_slca": ""}, {"clbench.strategies": {"slca": "acme_slca:X"}})
    with pytest.raises(UsageError, match=r"clbench .* and acme 1\.5"):
        fresh().get("slca")


def test_families_take_what_follows_their_prefix(plugin: Plugin) -> None:
    assert registry.streams.split("folder:/a/b:c") == ("folder:", "/a/b:c")
    assert registry.streams.split("split-digits") == ("split-digits", None)
    with pytest.raises(UsageError, match=r"'folder:' needs something after it, such as folder:NAME"):
        registry.streams.split("folder:")
    plugin("acme", {"acme_a": ""}, {"clbench.strategies": {"acme/": "acme_a:X", "acme/naive": "acme_a:Y"}})
    assert fresh().entry("acme/ewc").attribute == "X"
    assert fresh().entry("acme/naive").attribute == "Y"


def test_names_can_be_registered_for_a_process() -> None:
    class Mine:
        """Mine alone."""

    names = fresh()
    names.register("mine", Mine)
    assert names.get("mine") is Mine
    assert names.summary("mine") == "Mine alone."
    with pytest.raises(UsageError, match="exists already"):
        names.register("mine", Mine)
    with pytest.raises(UsageError, match="exists already"):
        names.register("slca", Mine)
    names.unregister("mine")
    assert "mine" not in names


def test_a_name_registered_at_run_time_may_be_replaced() -> None:
    from cl.strategies.simplecil import SimpleCIL

    names = cl.registry.strategies
    names.register("mine", SimpleCIL)
    try:
        other = type("Other", (SimpleCIL,), {})
        with pytest.raises(UsageError, match="exists already"):
            names.register("mine", other)
        names.register("mine", other, replace=True)
        assert names.get("mine") is other
        with pytest.raises(UsageError, match="exists already"):
            names.register("simplecil", other, replace=True)
    finally:
        names.unregister("mine")


def test_summaries_are_one_whole_sentence() -> None:
    for names in (registry.strategies, registry.streams):
        for name in names:
            summary = names.summary(name)
            assert summary.endswith(".") and "\n" not in summary, (
                f"{name}: end the docstring's first line with a period"
            )


def test_broken_plugins_stop_nothing_and_say_what_is_wrong(plugin: Plugin) -> None:
    installed = install(plugin)
    names = fresh()
    assert set(installed) <= set(names) and names.summary("slca") and names.problem("slca") is None
    for name, (_, problem) in SOURCES.items():
        found = names.problem(f"bad/{name}")
        assert found is None if problem is None else found is not None and f"{os.sep}{problem}" in found, name
        assert names.summary(f"bad/{name}") == ""
        names.source_sha256(f"bad/{name}")
    assert names.problem("bad/absent") == "there is no module bad_absent"
    assert f"{os.sep}bad_encoding.py, line " in str(names.problem("bad/encoding"))
    assert names.problem("bad/form") == "its entry point 'bad_other' is not of the form module:class"
    ((place, reason),) = names.broken.items()
    assert "garbage" in place and "its metadata cannot be read" in reason


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("syntax", "cannot be imported from bad_syntax:M: SyntaxError"),
        ("nul", "cannot be imported from bad_nul:M"),
        ("missing", "ModuleNotFoundError: No module named 'no_such_module'."),
        ("exits", "SystemExit: bye."),
        ("base", "BaseException: odd."),
        ("empty", "has no attribute 'M'"),
        ("function", "is no strategy: bad_function:M is of type function, no class."),
        ("other", "is no strategy: bad_other:M is a class without Options, learn, predict."),
        ("absent", "No module named 'bad_absent'."),
        ("encoding", "cannot be imported from bad_encoding:M: SyntaxError"),
        ("form", "cannot be imported from bad_other"),
    ],
)
def test_using_a_broken_plugin_is_one_sentence_with_its_distribution(plugin: Plugin, name: str, says: str) -> None:
    install(plugin)
    names: Registry[object] = Registry("clbench.strategies", "strategy", ("Options", "learn", "predict"))
    with pytest.raises(ClbenchError) as caught:
        names.get(f"bad/{name}")
    assert f"strategy 'bad/{name}' of bad 1.5" in str(caught.value) and says in str(caught.value)


def test_ctrl_c_during_an_import_is_no_fault_of_the_plugin(plugin: Plugin) -> None:
    plugin("acme", {"acme_slow": "raise KeyboardInterrupt\n"}, {"clbench.strategies": {"slow": "acme_slow:X"}})
    with pytest.raises(KeyboardInterrupt):
        fresh().get("slow")


def test_an_error_in_the_code_of_a_plugin_is_placed_there(
    plugin: Plugin, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = """
        from cl.streams.digits import SplitDigits


        class Odd(SplitDigits):
            \"\"\"Digits.\"\"\"

            name = "odd-stream"

            def read(self, options, argument, progress):
                return {}["boom"]
        """
    root = plugin("odd", {"odd_m": source}, {"clbench.streams": {"odd-stream": "odd_m:Odd"}})
    monkeypatch.setattr(registry, "streams", Registry("clbench.streams", "stream"))
    for command in (["info", "odd-stream"], ["run", "-s", "simplecil", "--stream", "odd-stream", "--progress", "none"]):
        assert call(command) == 1
        said = capsys.readouterr().err
        assert f"unexpected KeyError: 'boom'. Raised at {root / 'odd_m.py'}:11." in said and "DEBUG" not in said
    try:
        raise KeyError("k")
    except KeyError as error:
        assert registry.place_in_plugin(error) == ""
