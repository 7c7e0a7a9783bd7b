"""Keyboard, screen reader, language and small screens: the page serves everyone."""

from __future__ import annotations

import pytest

from tests.browser.conftest import ENGLISH, PHONE, TABS, WIDE, Visit, visit
from tests.conftest import write_photo

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
@pytest.mark.parametrize("look", ["light", "dark"])
def test_axe_finds_nothing_serious_on_any_tab(browser, scripted, language, look):
    for seen in visit(browser, scripted[0].url, WIDE | {"locale": language}, f"/?__theme={look}"):
        for tab in TABS:
            seen.page.locator(f"#tab-{tab}-button").click()
            seen.page.wait_for_selector(f"#tab-{tab}", state="visible")
            assert seen.serious_faults() == [], tab
            assert seen.serious_faults_on_a_phone() == [], tab


@pytest.mark.parametrize("language", ["en-US", "zh-CN"])
@pytest.mark.parametrize("look", ["light", "dark"])
def test_axe_finds_nothing_serious_where_a_line_is_corrected_and_files_run(
    browser, growing, tmp_path, photo, language, look
):
    files = [write_photo(tmp_path / f"photo {n}.png", photo) for n in (1, 2)]
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"nothing to see")
    for seen in visit(browser, growing.url, WIDE | {"locale": language}, f"/?__theme={look}"):
        page = seen.page

        def faults(seen: Visit = seen) -> list[str]:
            return seen.serious_faults() + seen.serious_faults_on_a_phone()

        page.locator("#tab-speech-button").click()
        page.locator("#speech-samples .sample").first.click()
        seen.result("speech", "done")
        page.locator("#speech-result [data-correct]").click()
        page.locator("#speech-result .line-text").first.click()
        page.keyboard.type("Well, ")
        assert faults() == [], "a line is being corrected"
        page.locator("#tab-caption-button").click()
        seen.choose("caption", "files")
        page.locator("#caption-files input[type=file]").first.set_input_files([broken, *files])
        page.wait_for_function("document.querySelectorAll('#caption-files .tile').length === 3")
        page.locator("#caption-run").click()
        page.wait_for_selector("#caption-result .is-busy .queue-row.is-failed")
        assert faults() == [], "files run"
        growing.may_end.set()
        seen.result("caption", "done")
        page.locator("#caption-result [data-correct-text]").first.click()
        assert faults() == [], "files have ended, and one is being corrected"


@pytest.mark.parametrize("look", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_result_of_any_tab(browser, scripted, look):
    for seen in visit(browser, scripted[0].url, WIDE, f"/?__theme={look}"):
        for tab in ("search", "speech", "video", "caption"):
            seen.page.locator(f"#tab-{tab}-button").click()
            seen.page.locator(f"#tab-{tab} [data-sample]:visible").first.click()
            seen.result(tab, "done")
            assert seen.serious_faults() == [], tab


def test_the_language_changes_the_name_of_every_tab_and_input_at_once(wide):
    page = wide.page
    shown = "[...document.querySelectorAll('#tabs [role=tab]')].map((tab) => tab.innerText).join()"
    page.click("[data-speak]")
    page.wait_for_function(f"{shown} === '{','.join(TABS.values())}'")
    wide.page.locator("#tab-caption-button").click()
    page.wait_for_selector("#caption-photo button[aria-label*='拖入图片']")
    page.click("[data-speak]")
    page.wait_for_function(f"{shown} === '{','.join(ENGLISH.values())}'")
    page.wait_for_selector("#caption-photo button[aria-label^='Drop a photo here']")


def test_a_narrow_phone_in_chinese_in_the_dark_has_every_tab_at_one_tap_and_nothing_scrolls_sideways(browser, scripted):
    options = PHONE | {"viewport": {"width": 360, "height": 740}}
    for seen in visit(browser, scripted[0].url, options):
        assert seen.page.evaluate("document.body.classList.contains('dark')")
        for tab in TABS:
            seen.page.locator(f"#tab-{tab}-button").tap()
            seen.page.wait_for_selector(f"#tab-{tab}", state="visible")
            assert seen.width() <= 360
        shown = seen.page.inner_text("body")
        assert "参数量" in shown and "Measured" not in shown and "Fusion Studio" in seen.page.inner_text("#brand")
        seen.page.locator("#tab-caption-button").tap()
        seen.page.locator("#caption-samples .sample").first.tap()
        seen.result("caption", "done")
        seen.page.wait_for_function(
            "document.querySelector('#caption-result').getBoundingClientRect().top < innerHeight - 120"
        )


def test_less_motion_is_none(browser, scripted):
    for seen in visit(browser, scripted[0].url, WIDE | {"reduced_motion": "reduce"}):
        seen.open_tab("caption")
        seen.page.locator("#caption-samples .sample").first.click()
        seen.page.wait_for_selector("#caption-result .result-card.is-busy")
        moving = "document.getAnimations().filter((one) => one.playState === 'running').length"
        assert seen.page.evaluate(moving) == 0
        seen.result("caption", "done")


@pytest.mark.parametrize(("kind", "name"), [("clip", "nothing.mp4"), ("sound", "nothing.wav")])
def test_an_empty_file_is_said_in_place_of_a_blank_player(wide, tmp_path, kind, name):
    (tmp_path / name).write_bytes(b"")
    wide.may_complain = True  # the browser itself, that it cannot show such a file
    wide.open_tab("speech")
    wide.choose("speech", kind)
    wide.page.locator(f"#speech-{kind} input[type=file]").first.set_input_files(tmp_path / name)
    wide.page.wait_for_selector(f"#speech-{kind}[data-unplayable=empty]")
    words = wide.page.evaluate(f"getComputedStyle(document.querySelector('#speech-{kind}'), '::after').content")
    assert "empty (0 bytes)" in words
    assert not wide.page.locator(f"#speech-{kind} video:visible").count()


def test_what_sure_means_is_said_where_it_is_pointed_at(wide):
    wide.open_tab("video")
    wide.page.locator("#video-samples .sample").first.click()
    assert "sure" in wide.result("video", "done")
    sure = wide.page.locator("#video-result .explained:visible").first
    assert "were right on examples" in str(sure.get_attribute("title"))


def test_the_measurements_have_names_for_people(wide):
    wide.open_tab("models")
    said = wide.page.inner_text("#models-measured")
    assert "Speech: wrong words, clear English reading" in said and "word_error_rate" not in said
    wide.page.locator("#models-measured summary").click()
    assert "speech.librispeech-dev-clean.word_error_rate" in wide.page.inner_text("#models-measured")
