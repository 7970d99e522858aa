"""The report in a real browser, opened from a file: it loads, sorts, filters, opens runs and compares."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cl.results import report
from cl.results.report import write_report
from tests.help.records import build_record, build_run
from tests.help.report_runs import HOSTILE, report_records

api: Any = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install playwright")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
FOUND = next(filter(None, map(shutil.which, BROWSERS)), None)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(FOUND is None, reason=f"no browser on PATH: one of {', '.join(BROWSERS)}"),
]
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "a report.html"
    write_report(report_records(build_record), path)
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    root = hasattr(os, "geteuid") and os.geteuid() == 0  # Chromium has no sandbox for root
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=FOUND, args=["--no-sandbox"] if root else [])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser: Any, address: str) -> Iterator[Open]:
    """Opens the report; afterwards nothing was said on the console and nothing but the file was asked for."""
    said: list[str] = []
    asked: list[str] = []
    opened: set[str] = set()
    pages = []

    def start(fragment: str = "", *, address: str = address, **options: Any) -> Any:
        page = browser.new_page(**options)
        page.set_default_timeout(60_000)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address + fragment)
        opened.add(address)
        pages.append(page)
        return page

    yield start
    for page in pages:
        page.close()
    assert said == []
    assert {url.partition("#")[0] for url in asked if not url.startswith("data:")} == opened


def column(page: Any, board: int, index: int) -> list[str]:
    """The visible cells of one column of a board, first lines only."""
    cells = page.locator(f".board >> nth={board} >> css=tbody tr:visible > :nth-child({index + 1})").all_inner_texts()
    return [text.split()[0] for text in cells]


def test_sorts_by_click_and_by_key(open_page: Open) -> None:
    page = open_page()
    assert column(page, 0, 1) == ["slca", "finetune", "joint", "slca"]
    head = page.locator(".board >> nth=0 >> css=thead th >> nth=3")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, 0, 3) == ["90.00", "61.67", "61.00", "40.00"]
    head.locator("button").focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, 0, 3) == ["40.00", "61.00", "61.67", "90.00"]
    page.locator(".board >> nth=0 >> css=thead th >> nth=1 >> button").click()
    assert head.get_attribute("aria-sort") == "none"
    assert column(page, 0, 1) == ["finetune", "joint", "slca", "slca"]


def test_filters_by_words_board_and_rank(open_page: Open) -> None:
    page = open_page()
    output = page.locator("section:visible form output")
    assert output.inner_text() == "6 of 6 rows"
    page.get_by_role("searchbox").fill("slca epochs")
    assert (output.inner_text(), column(page, 0, 1)) == ("1 of 6 rows", ["slca"])
    assert not page.locator(".board >> nth=1").is_visible()
    page.get_by_role("searchbox").fill("")
    page.locator("select[name=board]").select_option(index=2)
    assert output.inner_text() == "2 of 6 rows"
    page.get_by_role("searchbox").fill("slca epochs")
    assert output.inner_text() == "0 of 6 rows; 1 that match are on other boards, which the choice hides"
    page.get_by_role("searchbox").fill("")
    page.locator("select[name=board]").select_option(index=0)
    page.get_by_label("ranked rows only").check()
    assert output.inner_text() == "4 of 6 rows"


def test_opens_a_run_with_its_numbers_and_origins(open_page: Open) -> None:
    page = open_page()
    page.locator(".board >> nth=0 >> css=tbody tr >> nth=0 >> css=.links a >> nth=0").click()
    view = page.locator("section[data-view=run]")
    assert view.locator("h2").inner_text() == "slca epochs=20, seed 0"
    matrix = view.locator("table.matrix >> nth=0 >> css=tbody tr")
    assert matrix.nth(2).locator("td").all_inner_texts() == ["62.0"] * 3
    assert matrix.nth(3).locator("td").all_inner_texts() == ["37.0", "18.0", ""]
    assert view.get_by_role("row", name="lr 0.02 preset slca#1").count() == 1
    assert view.get_by_role("row", name="packages.torch 2.8.0").count() == 1
    assert view.locator("svg polyline").count() == 2  # one line per rule
    page.go_back()
    assert page.locator("section[data-view=leaderboard]").is_visible()


def test_lists_all_runs_and_shows_failures_as_words(open_page: Open) -> None:
    page = open_page("#runs")
    assert page.locator("#runs-table tbody tr").count() == 9
    page.locator("section:visible").get_by_role("searchbox").fill("failed")
    page.get_by_role("link", name="ewc").click()
    assert HOSTILE in page.locator(".warn").first.inner_text()
    assert page.locator("section[data-view=run] img").count() == 0


def test_compares_any_two(open_page: Open) -> None:
    page = open_page("#compare/0/2")
    view = page.locator("section[data-view=compare]")
    assert view.get_by_role("row", name="A_last_sample 41.00 62.00 +21.00").count() == 1
    assert view.get_by_role("row", name="lr 0.01 (preset finetune#1) 0.02 (preset slca#1)").count() == 1
    assert view.locator(".warn").count() == 0
    page.get_by_label("B", exact=True).select_option("8")
    page.wait_for_url("**#compare/0/8")
    assert "different streams" in view.locator(".warn").first.inner_text()


def test_follows_the_system_theme_until_told_otherwise(open_page: Open) -> None:
    page = open_page(color_scheme="dark")

    def paper() -> Any:
        return page.evaluate("getComputedStyle(document.body).backgroundColor")

    dark = paper()
    button = page.get_by_role("button", name="Theme")
    button.click()
    light = paper()
    button.click()
    assert paper() == dark != light == "rgb(255, 255, 255)"
    page.emulate_media(media="print")
    assert paper() == light and not page.locator("nav").is_visible()


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report with answers by class, matrices of 10 to 30 tasks, up to six rules, and long names."""
    folder = tmp_path_factory.mktemp("crowded")
    run = build_run(folder / "run", np.ones((3, 12), dtype=bool))
    many = [[[100 - group if group <= step else None for group in range(n)] for step in range(n)] for n in (10, 16, 30)]
    rules = [f"{name}{kind}" for name in ("cil_seen", "til_masked") for kind in ("", ":a_student", ":b")]
    records = [
        build_record(table, strategy="s" * 60, rules=tuple(rules[:count]), result__stream__id=f"of-{len(table)}")
        for table, count in zip(many, (1, 3, 6), strict=True)
    ]
    for index, record in enumerate(records):
        record["run_id"] = f"run {index}"
        record["result"]["stream"]["groups"][0]["name"] = "a_group_of_images_with_a_long_name" * 3
        record["result"]["backbone"]["name"] = "b" * 60
    write_report([run.record, *records], folder / "crowded.html", folders=[run.folder, None, None, None])
    return (folder / "crowded.html").as_uri()


SIDEWAYS = """() => [...document.querySelectorAll("body *")].filter(each => {
  const scrolls = each.scrollWidth > each.clientWidth && ["auto", "scroll"].includes(getComputedStyle(each).overflowX);
  const shown = each.closest("svg") === null && each.getClientRects().length && !each.matches(".skip");
  return scrolls || (shown && each.getBoundingClientRect().right > innerWidth + 0.5);
}).map(each => each.outerHTML.slice(0, 99))"""


@pytest.mark.parametrize("width", [320, 360, 500])
def test_nothing_scrolls_sideways_on_a_narrow_screen(open_page: Open, crowded: str, width: int) -> None:
    page = open_page(viewport={"width": width, "height": 800})

    def looked_at(fragments: list[str]) -> None:
        for fragment in fragments:
            page.evaluate(f"location.hash = '{fragment}'")
            page.wait_for_function(f"!document.querySelector('[data-view={fragment.split('/')[0]}]').hidden")
            assert page.evaluate("document.documentElement.scrollWidth") == width, fragment
            assert page.evaluate(SIDEWAYS) == [], fragment

    looked_at(["leaderboard", "runs", *(f"run/{index}" for index in range(9)), "compare/0/2", "compare/0/8"])
    page.close()
    page = open_page(address=crowded, viewport={"width": width, "height": 800})
    assert page.evaluate("DATA.runs.length") == 4
    looked_at(["leaderboard", "runs", *(f"run/{index}" for index in range(4)), "compare/0/2", "compare/3/3"])


def test_a_wide_screen_scrolls_tables_and_charts_only(open_page: Open) -> None:
    page = open_page(viewport={"width": 1400, "height": 800})
    for fragment in ("#leaderboard", "#runs", "#run/2", "#compare/0/2"):
        page.evaluate(f"location.hash = '{fragment}'")
        page.wait_for_function("document.readyState === 'complete'")
        assert page.evaluate("document.documentElement.scrollWidth") <= 1400, fragment
        assert page.locator(".legend:visible, .touched:visible, svg .key:visible").count() == 0


UNNAMED = """tables => tables.flatMap(table => [...table.tBodies[0].rows].flatMap(row => [...row.cells].filter(cell => {
  const head = table.tHead.rows[0].cells[cell.cellIndex].textContent.trim();
  return cell.tagName === "TD" && getComputedStyle(cell, "::before").content !== JSON.stringify(head);
}).map(cell => cell.outerHTML)))"""
PHONE = {"width": 360, "height": 800}


@pytest.mark.parametrize("scripts", [True, False])
def test_values_of_blocks_have_the_names_of_their_columns(open_page: Open, scripts: bool) -> None:
    page = open_page("#runs" if scripts else "", viewport=PHONE, java_script_enabled=scripts)
    tables = page.locator("table.stacked")
    assert tables.count() == 2 + scripts  # the boards, and the runs
    assert tables.evaluate_all(UNNAMED) == []
    assert page.evaluate("document.documentElement.scrollWidth") == 360 and page.evaluate(SIDEWAYS) == []
    page.set_viewport_size({"width": 1400, "height": 800})
    assert len(tables.evaluate_all(UNNAMED)) > 50


def test_a_narrow_screen_sorts_filters_and_picks(open_page: Open) -> None:
    page = open_page(viewport=PHONE, has_touch=True)
    page.locator(".board >> nth=0 >> css=thead th >> nth=3 >> button").tap()
    assert column(page, 0, 3) == ["90.00", "61.67", "61.00", "40.00"]
    page.locator("select[name=board]").select_option(index=2)
    page.get_by_role("searchbox").fill("slca epochs")
    output = page.locator("section:visible form output")
    assert output.inner_text() == "0 of 6 rows; 1 that match are on other boards, which the choice hides"
    page.get_by_role("link", name="Runs").tap()
    page.locator("#runs-table thead button >> text=A_last_sample").tap()
    assert page.locator("#runs-table tbody tr >> nth=0").inner_text().startswith("joint")
    page.evaluate("location.hash = 'compare/0/2'")
    page.get_by_label("B", exact=True).select_option("3")
    page.wait_for_url("**#compare/0/3")
    assert page.get_by_role("row", name="A_last_sample 41.00 60.00 +19.00").count() == 1


def test_a_touched_cell_of_a_narrow_matrix_says_its_number(open_page: Open, crowded: str) -> None:
    page = open_page("#run/1", address=crowded, viewport=PHONE, has_touch=True)
    cell = page.locator("table.matrix tbody tr >> nth=9 >> css=td >> nth=4")
    shown = cell.evaluate("td => [getComputedStyle(td).fontSize, getComputedStyle(td, '::before').content]")
    assert shown == ["0px", '"96"']
    cell.tap()
    assert page.locator(".touched").inner_text() == "task 5 after task 10: 96.00 %"
    for run, kind in ((2, "crowded"), (3, "dense")):
        page.evaluate(f"location.hash = 'run/{run}'")
        cell = page.locator(f"table.matrix.{kind} >> nth=0 >> css=tbody tr >> nth=9 >> css=td >> nth=4")
        cell.tap()
        assert page.locator(".touched >> nth=0").inner_text() == "task 5 after task 10: 96.00 %"
        assert cell.evaluate("td => getComputedStyle(td).fontSize") == "0px"


CUT = """svgs => svgs.flatMap(svg => [...svg.querySelectorAll("text")].filter(text => {
  const [box, plot, place] = [svg, svg.parentElement, text].map(each => each.getBoundingClientRect());
  const right = Math.min(box.right, plot.right);
  return place.width && (place.left < box.left - 1 || place.right > right + 1 || place.bottom > box.bottom + 1);
}).map(text => text.textContent))"""
SMALLEST = """svgs => Math.min(...svgs.flatMap(svg => [...svg.querySelectorAll("text")].filter(text =>
  text.getClientRects().length).map(text => parseFloat(getComputedStyle(text).fontSize) * svg.getScreenCTM().a)))"""


def test_charts_of_a_narrow_screen_are_readable_and_name_their_rows_below(open_page: Open) -> None:
    page = open_page(viewport={"width": 320, "height": 800})
    charts = page.locator("figure svg:visible")
    assert charts.evaluate_all(SMALLEST) >= 9
    assert charts.evaluate_all(CUT) == []
    figure = page.locator("figure >> nth=0")
    assert figure.locator(".legend li").all_inner_texts()[0] == "slca epochs=20 61.0"
    assert figure.locator("svg .key:visible").all_text_contents()[0] == "1"


def test_without_scripts_the_leaderboard_is_there(open_page: Open) -> None:
    page = open_page(java_script_enabled=False)
    assert page.locator(".board tbody tr").count() == 6
    assert page.locator("section[data-view=leaderboard]").is_visible() and "Without JavaScript" in page.content()


def test_the_file_stands_alone(address: str, tmp_path: Path) -> None:
    folder = Path(address.removeprefix("file://").replace("%20", " ")).parent
    assert [path.name for path in folder.iterdir()] == ["a report.html"]


def test_no_label_of_a_chart_is_cut(open_page: Open) -> None:
    page = open_page()
    charts = page.locator("figure svg:visible")
    assert charts.count() >= 2
    assert charts.evaluate_all(CUT) == []


@pytest.fixture
def packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a report whose data are compressed."""
    monkeypatch.setattr(report, "PACKED_FROM", 1000)
    write_report(report_records(build_record), tmp_path / "packed.html")
    return (tmp_path / "packed.html").as_uri()


def test_unpacks_the_data_of_many_runs(browser: Any, packed: str) -> None:
    page = browser.new_page()
    page.goto(f"{packed}#compare/0/2")
    view = page.locator("section[data-view=compare]")
    view.get_by_role("row", name="A_last_sample 41.00 62.00 +21.00").wait_for()
    page.goto(f"{packed}#runs")
    assert page.locator("#runs-table tbody tr").count() == 9
    page.close()


def test_a_browser_that_cannot_unpack_says_so_and_shows_the_leaderboard(browser: Any, packed: str) -> None:
    page = browser.new_page()
    page.add_init_script("delete globalThis.DecompressionStream")
    page.goto(packed)
    assert "cannot unpack the runs" in page.locator(".warn").first.inner_text()
    page.locator(".board >> nth=0 >> css=thead th >> nth=3 >> button").click()
    assert column(page, 0, 3) == ["90.00", "61.67", "61.00", "40.00"]
    page.close()


def test_a_run_with_predictions_shows_its_classes(browser: Any, tmp_path: Path) -> None:
    right = np.ones((3, 12), dtype=bool)
    right[2, 0] = False
    run = build_run(tmp_path / "run", right)
    write_report([run.record], tmp_path / "one.html", folders=[run.folder])
    page = browser.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((tmp_path / "one.html").as_uri() + "#run/0")
    view = page.locator("section[data-view=run]")
    table = view.get_by_role("table", name="Images by class")
    assert sorted(filter(None, table.locator("td").all_inner_texts())) == ["1", "1", "2", "2", "2", "2", "2"]
    classes = view.get_by_role("table", name="Classes after the last task")
    assert "50.00" in classes.inner_text() and "66.67" in classes.inner_text()
    page.close()
    assert said == []
