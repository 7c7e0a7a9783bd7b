"""The lab in a browser: what is dialled, run, watched, stopped, taken along and opened again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.lab import EXPERIMENTS, Findings, runs
from studio.tabs.lab import ui as lab
from tests.browser.conftest import WIDE, Visit, visit
from tests.studio.findings import Script, finished, mapped

pytestmark = pytest.mark.browser


@pytest.fixture
def script(monkeypatch) -> Script:
    """In place of the experiments: it ends when it is told to."""
    script = Script()
    monkeypatch.setattr(lab, "experiment", script)
    return script


def show(monkeypatch: pytest.MonkeyPatch, found: Findings) -> None:
    """Let every run find this at once."""

    def experiment(request: Any, material: Any, cancel: Any, watch: Any) -> Iterator[Findings]:
        yield replace(found, request=request) if type(request) is type(found.request) else found

    monkeypatch.setattr(lab, "experiment", experiment)


def turn_to(seen: Visit, name: str) -> None:
    """Open the tab and an experiment in it."""
    seen.open_tab("lab")
    seen.page.locator(f"#lab-which input[value={name}]").check(force=True)
    seen.page.wait_for_selector(f"#lab-{name}", state="visible")


def run(seen: Visit, name: str) -> None:
    seen.page.locator(f"#lab-{name}-run").click()


def until(seen: Visit, name: str, text: str) -> None:
    """Wait until a result says something."""
    seen.page.wait_for_function(
        "([name, text]) => document.querySelector(`#lab-${name}-result`)?.innerText.includes(text)", arg=[name, text]
    )


# --- what is seen at first --------------------------------------------------------------------------------------------


def test_every_experiment_has_its_question_its_dials_and_fits_a_desktop(wide):
    for name, kind in ((name, entry.request) for name, entry in EXPERIMENTS.items()):
        turn_to(wide, name)
        panel = wide.page.locator(f"#lab-{name}")
        assert panel.locator(".question-of").inner_text().strip().endswith("?")
        assert (
            panel.locator(".split-input input[type=range]").count()
            == sum("low" in f.metadata for f in _fields(kind)) - 1
        )
        assert wide.page.locator(f"#lab-{name}-run").is_visible()
        assert not wide.page.locator(f"#lab-{name}-stop").is_visible()
        assert "Run it" in wide.result(f"lab-{name}", "empty")
        assert wide.width() <= 1440
    assert "__i18n__" not in wide.page.inner_text("body")


def _fields(kind: type) -> list[Any]:
    return list(kind.__dataclass_fields__.values())


def test_every_experiment_fits_a_phone_in_chinese_in_the_dark(phone):
    for name in EXPERIMENTS:
        turn_to(phone, name)
        assert "点击运行" in phone.result(f"lab-{name}", "empty")
        assert phone.width() <= 390
    assert "__i18n__" not in phone.page.inner_text("body")


def test_a_lesson_has_its_formulas_drawn_and_its_code_folded(wide):
    turn_to(wide, "fusion")
    lesson = wide.page.locator("#lab-fusion-lesson")
    lesson.locator(".katex-display").first.wait_for()
    assert "$" not in lesson.locator(".block.in-en").inner_text()
    code = lesson.locator(".block.in-en details").first
    assert not code.locator("pre").is_visible()
    code.locator("summary").click()
    assert "class SumFusion" in code.locator("pre").inner_text()
    assert not lesson.locator(".block.in-zh").is_visible()
    wide.page.click("[data-speak]")
    lesson.locator(".block.in-zh").wait_for(state="visible")
    assert not lesson.locator(".block.in-en").is_visible()


def test_experiments_are_chosen_by_keyboard_and_where_one_is_can_be_seen(wide):
    wide.open_tab("lab")
    page = wide.page
    page.locator("#lab-which input[value=fusion]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#lab-alignment", state="visible")
    assert not page.locator("#lab-fusion").is_visible()
    outline = "getComputedStyle(document.querySelector('#lab-which label:has(input:focus)')).outlineStyle"
    assert page.evaluate(outline) == "solid"


# --- a run ------------------------------------------------------------------------------------------------------------


def test_a_run_shows_its_curve_as_it_grows_then_its_table_and_its_sentence(wide, script):
    turn_to(wide, "fusion")
    page = wide.page
    page.locator("#lab-fusion-seed input").fill("42")
    page.locator("#lab-fusion-operator label", has_text="concatenation").click()
    run(wide, "fusion")
    until(wide, "fusion", "step 40 of 120")
    assert page.locator("#lab-fusion-result svg.is-wide").get_attribute("role") == "img"
    assert page.locator("#lab-fusion-stop").is_visible() and page.locator("#lab-fusion-run").is_disabled()
    script.may_end.set()
    said = wide.result("lab-fusion", "done")
    assert "seed 42" in said and "--seed 42" in said and "by 3.0 points" in said
    ((asked, _),) = script.asked
    assert asked.seed == 42 and "concat" in asked.operator
    assert not page.locator("#lab-fusion-stop").is_visible() and page.locator("#lab-fusion-run").is_enabled()
    assert wide.width() <= 1440


@pytest.mark.parametrize("how", ["button", "escape"])
def test_a_stop_keeps_the_curve(wide, script, how):
    turn_to(wide, "fusion")
    run(wide, "fusion")
    until(wide, "fusion", "step 40 of 120")
    if how == "button":
        wide.page.locator("#lab-fusion-stop").click()
    else:
        wide.page.keyboard.press("Escape")
    assert "stopped" in wide.result("lab-fusion", "stopped")
    assert wide.page.locator("#lab-fusion-result svg.is-wide").is_visible()


def test_two_people_at_once_wait_in_line_and_keep_their_own_curves(wide, browser, scripted, script):
    other = visit(browser, scripted[0].url, WIDE)
    second = next(other)
    for seen, seed in ((wide, "11"), (second, "22")):
        turn_to(seen, "fusion")
        seen.page.locator("#lab-fusion-seed input").fill(seed)
        run(seen, "fusion")
        until(seen, "fusion", "step 40 of 120" if seen is wide else "Queued, 1 ahead")
    script.may_end.set()
    assert "seed 11" in wide.result("lab-fusion", "done")
    assert "seed 22" in second.result("lab-fusion", "done")
    assert [request.seed for request, _ in script.asked] == [11, 22]
    assert next(other, None) is None


def test_a_wide_table_scrolls_in_itself_on_a_phone(phone, monkeypatch):
    show(monkeypatch, finished())
    turn_to(phone, "fusion")
    run(phone, "fusion")
    phone.result("lab-fusion", "done")
    inner, outer = phone.page.evaluate(
        "(part => [part.scrollWidth, part.clientWidth])(document.querySelector('#lab-fusion-result .wide'))"
    )
    assert inner > outer
    assert phone.width() <= 390
    assert phone.page.locator("#lab-fusion-result svg.is-narrow").is_visible()
    assert not phone.page.locator("#lab-fusion-result svg.is-wide").is_visible()


APART_JS = """() => { const [a, b] = [...document.querySelectorAll('#lab-alignment-result .map:last-child .dots')]
.map((part) => part.getBoundingClientRect()); return Math.hypot(a.x - b.x, a.y - b.y); }"""
"""How far the groups of the map after are from each other, in pixels."""


def test_the_slider_closes_the_gap_between_the_modalities(wide, monkeypatch):
    show(monkeypatch, mapped())
    turn_to(wide, "alignment")
    run(wide, "alignment")
    wide.result("lab-alignment", "done")
    before = wide.page.evaluate(APART_JS)
    wide.page.locator("#lab-alignment-result [data-gap]").fill("1")
    wide.page.wait_for_function(f"({APART_JS})() < {0.2 * before}")


# --- taken along, opened again ----------------------------------------------------------------------------------------


def test_a_real_run_is_saved_and_opened_again_to_the_same_numbers(wide):
    turn_to(wide, "fusion")
    page = wide.page
    for box in page.locator("#lab-fusion-operator input[type=checkbox]").all()[1:]:
        box.uncheck()
    steps = page.locator("#lab-fusion-nsteps input[type=number]")
    steps.fill("10")
    steps.press("Tab")
    run(wide, "fusion")
    assert "picture" in wide.result("lab-fusion", "done")
    files: dict[str, Path] = {}
    for form, ending in (("csv", ".csv"), ("json", ".json"), ("run", ".run.safetensors")):
        with page.expect_download() as saved:
            page.locator(f"#lab-fusion-result a[href$='.{form}']").click()
        assert saved.value.suggested_filename == f"fusion-seed0{ending}"
        files[form] = saved.value.path()
    assert "operator" in files["csv"].read_text(encoding="utf-8-sig")
    kept = runs.load(files["run"])

    wide.reload()
    turn_to(wide, "maml")
    named = files["run"].with_name("kept.run.safetensors")
    named.write_bytes(files["run"].read_bytes())
    page.locator("input[type=file][accept*=safetensors]").first.set_input_files(named)
    until(wide, "fusion", "Measured again: the same numbers.")
    assert page.locator("#lab-fusion").is_visible()
    assert page.input_value("#lab-fusion-nsteps input[type=number]") == str(kept.n_steps) == "10"


def test_what_is_no_run_is_one_sentence(wide, tmp_path):
    wide.open_tab("lab")
    bad = tmp_path / "other.safetensors"
    bad.write_bytes(b"no run at all")
    wide.page.locator("input[type=file][accept*=safetensors]").first.set_input_files(bad)
    wide.page.wait_for_selector(".toast-body")
    assert "is not a run of the Lab" in wide.page.inner_text(".toast-body")


# --- the network ------------------------------------------------------------------------------------------------------


def drawn(seen: Visit, name: str) -> Any:
    """The drawing of a network, once it is there."""
    place = seen.page.locator(f"#lab-{name}-drawing")
    place.scroll_into_view_if_needed()
    seen.page.wait_for_selector(f"#lab-{name}-drawing .part")
    return place


def test_the_network_is_drawn_for_the_example_that_is_chosen_and_walked_through_step_by_step(wide):
    turn_to(wide, "fusion")
    place = drawn(wide, "fusion")
    assert "not trained yet" in place.locator(".net-state").inner_text()
    names = place.locator(".part-name").all_text_contents()
    assert all(
        any(each.startswith(name) for each in names) for name in ("photo", "log-mel", "memory", "attention", "classes")
    )
    place.get_by_role("button", name="7", exact=True).click()
    wide.page.wait_for_selector("#lab-fusion-drawing [data-label='7'][aria-pressed=true]")
    place.locator(".part", has_text="attention").hover()
    said = place.locator(".net-info").inner_text()
    assert "softmax" in said and "engines/model/parts.py:" in said and "× 64" in said
    assert place.locator(".links path.is-pointed").count() > 0

    place.locator("[data-pass]").fill("0")
    assert place.locator(".part.is-later").count() == len(names) - 2, "only what both modalities begin with is seen"
    place.locator("[data-act=next]").click()
    assert place.locator(".part.is-now").count() > 0
    place.locator("[data-slow]").uncheck()
    place.locator("[data-act=play]").click()
    wide.page.wait_for_selector("#lab-fusion-drawing:not(.is-playing) .part:not(.is-later) >> text=classes")


def test_the_network_of_a_run_moves_and_its_training_can_be_gone_back_through(reading):
    turn_to(reading, "extractors")
    page = reading.page
    page.locator("#lab-extractors-nsteps input[type=number]").fill("12")
    place = drawn(reading, "extractors")
    run(reading, "extractors")
    reading.result("lab-extractors", "done")
    page.wait_for_selector("#lab-extractors-drawing.has-time")
    assert place.locator("[data-step]").inner_text() == "12 / 12"
    assert place.locator("[data-model] option").all_inner_texts() == ["CNN", "Transformer"]
    place.locator("[data-time]").fill("0")
    earliest = int(place.locator("[data-step]").inner_text().removesuffix(" / 12"))
    assert earliest < 12  # which steps are drawn depends on how fast they come
    place.locator("[data-model]").select_option("cnn")
    page.wait_for_selector("#lab-extractors-drawing .part-name >> text=conv 5")


def test_on_a_phone_the_network_runs_downwards_and_nothing_is_cut_off(phone):
    turn_to(phone, "alignment")
    place = drawn(phone, "alignment")
    box = place.locator("svg").bounding_box()
    assert box is not None and box["height"] > box["width"]
    assert phone.width() <= 390
    edges = phone.page.evaluate(
        "[...document.querySelectorAll('#lab-alignment-drawing .part-box')].map((part) => part.getBoundingClientRect())"
        ".map(({left, right}) => [left, right])"
    )
    assert all(box["x"] - 1 <= left and right <= box["x"] + box["width"] + 1 for left, right in edges)
    assert "余弦" in place.locator(".part-name").all_text_contents()[-1]


def test_parts_are_reached_with_one_tab_stop_and_the_arrow_keys(wide):
    turn_to(wide, "fusion")
    place = drawn(wide, "fusion")
    assert place.locator(".part[tabindex='0']").count() == 1
    place.locator(".part").first.focus()
    wide.page.keyboard.press("ArrowRight")
    assert "conv 1" in place.locator(".net-info h4").inner_text()


# --- slides -----------------------------------------------------------------------------------------------------------


def test_a_lesson_is_shown_as_slides_by_the_arrow_keys_and_left_by_escape(wide):
    turn_to(wide, "fusion")
    page = wide.page
    page.locator("#lab-fusion-run").click()
    page.wait_for_selector("#lab-fusion-stop", state="visible")
    page.locator("#lab-fusion-lesson [data-slides]").click()
    slide = page.locator("dialog.slides .slide")
    assert slide.locator("h3").inner_text() == "Two modalities, one prediction"
    page.keyboard.press("ArrowRight")
    said = slide.inner_text()
    assert said.startswith("Sum.") and "SumFusion" in said and "Gated" not in said
    assert slide.locator(".katex").count() > 0
    assert page.locator("dialog.slides footer .number").inner_text().startswith("2 / ")
    page.keyboard.press("End")
    assert "Exercises" in slide.inner_text()
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.slides", state="detached")
    page.wait_for_selector("#lab-fusion-result .is-done")  # and the run beside it went on


# --- addresses --------------------------------------------------------------------------------------------------------


def test_a_lecturers_link_opens_the_experiment_as_set_and_settings_can_be_taken_along(browser, scripted):
    query = "?tab=lab&experiment=alignment&objective=contrastive&n_steps=40"
    for seen in visit(browser, scripted[0].url, WIDE, query, ready="#lab-alignment-run"):
        page = seen.page
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        page.wait_for_function("document.querySelector('#lab-alignment-nsteps input[type=number]')?.value === '40'")
        assert page.locator("#lab-alignment-objective input:checked").count() == 1
        page.locator("#lab-alignment-seed input").fill("7")
        page.wait_for_function("location.search.includes('n_steps=40&seed=7')")
        for what, said in (
            ("command", "alignment --objective contrastive --n-steps 40 --seed 7"),
            ("python", "seed=7"),
        ):
            page.locator(f"#lab-alignment-copy-{what}").click()
            page.wait_for_function("async (said) => (await navigator.clipboard.readText()).includes(said)", arg=said)
        page.locator("#lab-which input[value=maml]").check(force=True)
        page.wait_for_function("location.search.includes('experiment=maml') && !location.search.includes('n_steps')")
