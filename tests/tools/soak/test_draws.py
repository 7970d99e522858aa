"""What hypothesis draws is the same for the same number."""

from __future__ import annotations

import json

from tools.soak import draws

RECORD = {"result": {"a": [1, 2, 3], "b": {"c": "text"}}, "result_sha256": "x", "status": "complete"}


def test_a_number_repeats_its_example() -> None:
    for strategy in (draws.records(RECORD), draws.option_lists(), draws.trees(), draws.array_changes(["rows"])):
        assert draws.draw(strategy, 7) == draws.draw(strategy, 7)
    assert len({draws.draw(draws.TOML_VALUES, number) for number in range(20)}) > 5


def test_a_mutated_record_with_a_fitting_hash_has_one() -> None:
    from cl.records.record import result_sha256

    drawn = [draws.draw(draws.records(RECORD), number) for number in range(40)]
    fitting = [json.loads(text) for text, fits in drawn if fits]
    assert any(record["result"] != RECORD["result"] for record in fitting if "result" in record)
    for record in fitting:
        if isinstance(record.get("result"), dict):
            assert record["result_sha256"] == result_sha256(record["result"])
    assert len({text for text, _ in drawn}) > 30


def test_most_toml_files_are_nearly_right() -> None:
    import sys

    if sys.version_info >= (3, 11):
        import tomllib
    else:
        import tomli as tomllib

    readable = 0
    for number in range(40):
        try:
            tomllib.loads(draws.draw(draws.toml_texts('name = "x"\nsize = 32'), number).decode())
            readable += 1
        except (ValueError, RecursionError):
            pass
    assert 10 <= readable < 40
