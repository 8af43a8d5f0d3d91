"""The evaluation tab in Chromium: figures, files, what is behind a bar, and a phone."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect
from room_toys import toy_results

from slim_app.ui import words, words_compare
from slim_app.ui import words_room as said
from tests.conftest import App, Visitor, start_app

pytestmark = pytest.mark.browser
Visit = Callable[..., Visitor]
WIDEST = """(box) => {
  const width = (path) => path.getBoundingClientRect().width;
  const [bar] = [...box.querySelectorAll('.bars .point path')].sort((a, b) => width(b) - width(a));
  bar.scrollIntoView({ block: 'center' });
  const at = bar.getBoundingClientRect();
  return [at.x + at.width / 2, at.y + at.height / 2];
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = toy_results(tmp_path_factory)
    (found / "recommenders_broken.json").write_text("{", "utf-8")
    return found


@pytest.fixture(scope="module")
def room_app(folder: Path) -> Iterator[App]:
    with start_app("--student", "none", "--results", str(folder)) as app:
        yield app


@pytest.fixture
def open_room(visit: Visit, room_app: App) -> Callable[..., Visitor]:
    def opened(**options) -> Visitor:
        v = visit(room_app.url, **options)
        assert v.page.locator("#room .js-plotly-plot").count() == 0  # nothing is drawn before it is looked at
        v.press(v.page.get_by_role("tab", name=said.TAB))
        expect(v.page.locator("#room .js-plotly-plot[data-wired]")).to_have_count(9)
        tabs = [words.EXPLAIN_TAB, words_compare.TAB, said.TAB, words.ABOUT_TAB]
        expect(v.page.locator("#tabs button[role=tab]:visible")).to_have_text(tabs)
        return v

    return opened


def fig(v: Visitor, name: str) -> Locator:
    return v.page.locator(f"#room-fig-{name}")


def test_figures_files_and_what_is_behind_a_bar(open_room, folder: Path) -> None:
    report = json.loads((folder / "recommenders_games.json").read_text("utf-8"))
    v = open_room()
    expect(v.page.locator("#room-message")).to_contain_text("recommenders_broken.json")
    accuracy = fig(v, "accuracy")
    expect(accuracy.locator(".js-plotly-plot")).to_have_attribute("aria-label", said.CHART.format(
        title=said.FIGURES["accuracy"][0]))  # fmt: skip
    with v.page.expect_download() as saved:
        accuracy.locator("a[download]").click()
    assert saved.value.suggested_filename == "slim-games-accuracy.csv"
    rows = list(csv.DictReader(io.StringIO(saved.value.path().read_text("utf-8"))))
    for row in rows:
        assert float(row["mean"]) == report["runs"][row["run"]]["accuracy"]["101"]["ndcg@10"]["mean"]
    for kind, begins in (("svg", b"<svg"), ("png", b"\x89PNG")):
        with v.page.expect_download() as saved:
            accuracy.locator(f"[data-save={kind}]").click()
        assert saved.value.suggested_filename == f"slim-games-accuracy.{kind}"
        content = saved.value.path().read_bytes()
        assert content.startswith(begins)
        if kind == "svg":  # alone, it still says what it shows and how that was measured
            assert said.FIGURES["accuracy"][0] in content.decode() and "101 candidates" in content.decode()

    expect(accuracy.locator(".room-behind")).to_contain_text(said.BEHIND_EMPTY)
    v.page.mouse.click(*accuracy.locator(".js-plotly-plot").evaluate(WIDEST))
    expect(accuracy.locator(".room-case h4")).to_contain_text("Behind “")
    expect(accuracy.locator(".room-case tbody tr").filter(has_text="(G")).to_have_count(20)
    accuracy.get_by_role("button", name=said.CLOSE).click()
    expect(accuracy.locator(".room-behind")).to_contain_text(said.BEHIND_EMPTY)
    accuracy.locator(".room-table summary").press("Enter")  # the way of the keyboard
    accuracy.locator(".room-table button").first.press("Enter")
    expect(accuracy.locator(".room-case")).to_be_visible()


def test_choices_redraw_what_they_change(open_room) -> None:
    v = open_room()
    steps = fig(v, "steps")
    expect(steps.locator(".room-said")).to_contain_text("NDCG@10")
    v.page.locator("#room-measure").get_by_text("HR@20", exact=True).click()
    expect(steps.locator(".room-said")).to_contain_text("HR@20")
    v.page.locator("#room-where").get_by_text(said.WHERE["full"], exact=True).click()
    expect(fig(v, "accuracy").locator(".room-caption")).to_contain_text(said.NO_FULL_PAPER)
    v.page.locator("#room-novelty").get_by_text("Coverage", exact=True).click()
    expect(fig(v, "novelty").locator(".room-caption")).to_contain_text(said.CAPTION_LISTS)
    fig(v, "novelty").locator(".term").first.focus()
    expect(fig(v, "novelty").locator(".tip").first).to_be_visible()

    v.page.locator("#room-picker input").click()
    v.page.get_by_role("option", name="toys").click()
    expect(fig(v, "cost")).to_contain_text("--student-meta")  # no empty plot: the command that writes it
    expect(v.page.locator("#room .js-plotly-plot")).to_have_count(5)
    expect(fig(v, "accuracy").locator(".room-caption")).to_contain_text(said.SIMULATED)


def test_on_a_phone_all_is_in_one_column(open_room) -> None:
    v = open_room(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    assert v.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    boxes = [fig(v, name).bounding_box() for name in said.FIGURES]
    assert all(box["x"] >= 0 and box["x"] + box["width"] <= 390 for box in boxes)
    assert len({round(box["x"]) for box in boxes}) == 1
    tops = [box["y"] for box in boxes]
    assert tops[:4] == sorted(tops[:4])  # accuracy, steps, sparse people, popularity
    v.press(fig(v, "quality").locator(".room-table summary"))
    v.press(fig(v, "quality").locator(".room-table button").first)
    expect(fig(v, "quality").locator(".room-case")).to_contain_text("no single texts")
    assert v.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
