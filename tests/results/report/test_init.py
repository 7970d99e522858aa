"""The report's text: self-contained, escaped, the same each time, and what it embeds. The browser is another file."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from cl.results import report
from cl.results.report import render
from tests.help.report_runs import HOSTILE, embedded, report_records

Make = Callable[..., dict[str, Any]]


def test_the_page_loads_nothing_and_repeats(make_record: Make) -> None:
    page = render(report_records(make_record))
    assert page == render(report_records(make_record))
    assert not re.findall(r'<link[^>]+href="(?!data:)|<(?:script|img|iframe)[^>]+\bsrc=|@import|url\(', page)
    # Names of XML vocabularies are not fetched.
    assert set(re.findall(r"https?://[^\s\"']+", page)) <= {"http://www.w3.org/2000/svg"}
    assert "{{" not in page and "{%" not in page


def test_words_of_records_stay_words(make_record: Make) -> None:
    page = render(report_records(make_record), title=HOSTILE)
    assert "<img" not in page
    assert page.count("</script>") == 2
    data = embedded(page)
    assert HOSTILE in [run["error"]["message"] for run in data["runs"] if run["error"]]
    assert "&lt;/script&gt;" in page.partition("</title>")[0]


def test_a_thousand_records_stay_small(make_record: Make) -> None:
    """Sizes of 200 rows of 5 seeds of ten tasks, from what ten and twenty runs add."""
    ten = [[50 + step if group <= step else None for group in range(10)] for step in range(10)]

    def size(rows: int) -> int:
        records = []
        for index in range(rows):
            config = {f"option_{n}": {"value": index, "origin": "preset x#1"} for n in range(30)}
            for seed in range(5):
                records.append(make_record(ten, seed=seed, strategy=f"s{index}", result__config=config))
        return len(render(records).encode())

    small, large = size(2), size(4)
    assert small + (large - small) / 2 * 198 < 5e6


def test_control_characters_of_records_do_not_reach_the_page(make_record: Callable[..., Any]) -> None:
    hostile = "\x1b[31mevil\x07\u202e\x7f"
    page = render([make_record(strategy=hostile, result__backbone__name=hostile, result__strategy__preset="\\u001b")])
    assert "evil" in page and "\ufffd[31mevil\ufffd" in page and r"\ufffd[31mevil\ufffd" in page
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", page)
    assert r'"preset":"\\u001b"' in page, "a backslash in a name is no escape"


def test_data_of_many_runs_are_compressed_and_the_same(make_record: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    records = report_records(make_record)
    plain = render(records)
    monkeypatch.setattr(report, "PACKED_FROM", 1000)
    page = render(records)
    assert page == render(records) and len(page) < len(plain) and page.count("</script>") == 2
    [packed] = re.findall(r'<script type="text/plain" id="data">([A-Za-z0-9+/=]*)</script>', page)
    assert json.loads(gzip.decompress(base64.b64decode(packed))) == embedded(plain)
    script = page.partition('"use strict";')[2]
    assert script == plain.partition('"use strict";')[2], "one script reads both"
