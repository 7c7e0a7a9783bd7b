"""Click through the page at two sizes, as a newcomer would."""

from __future__ import annotations

import pytest

from studio import followed
from tests.browser.conftest import Visit, arrive

pytestmark = pytest.mark.browser
WORKING = ("search", "speech", "video", "caption")


def test_every_tab_opens_with_its_words_and_fits_a_desktop(wide):
    for tab in WORKING:
        wide.open_tab(tab)
        assert wide.result(tab, "empty")
        assert wide.page.locator(f"#{tab}-run").is_visible()
        assert not wide.page.locator(f"#{tab}-stop").is_visible()
        assert wide.width() <= 1440
    wide.open_tab("models")
    card = wide.page.inner_text("#models-card")
    for fact in ("1.0 M", "CPU", "there is no CUDA device", "Apache-2.0"):
        assert fact in card
    assert "From German to" in wide.page.inner_text("#models-abilities")
    assert "__i18n__" not in wide.page.inner_text("body")


FOUND = {"search": "dog.jpg", "speech": "The train leaves at nine."}
FOUND_WIDE = FOUND | {"video": "A dog is barking.", "caption": "A dog runs on the beach."}
FOUND_PHONE = FOUND | {"video": "狗在叫", "caption": "一只狗在沙滩上奔跑"}


@pytest.mark.parametrize(("size", "found"), [("wide", FOUND_WIDE), ("phone", FOUND_PHONE)])
def test_in_every_tab_a_sample_gives_its_result_at_one_click(request, size, found):
    visit: Visit = request.getfixturevalue(size)
    for tab in WORKING:
        visit.open_tab(tab)
        visit.page.locator(f"#{tab}-samples .sample, #{tab}-result .sample").first.click()
        said = visit.result(tab, "done")
        assert found[tab] in said
        assert "CPU · fake" in said
        assert visit.width() <= (390 if visit.is_phone else 1440)
        assert not visit.page.locator(f"#{tab}-stop").is_visible()


def test_a_stop_keeps_what_is_there_and_the_tab_goes_on(wide, scripted):
    host = scripted[1]
    host.delay_s = 1.5
    try:
        wide.open_tab("caption")
        wide.page.locator("#caption-samples .sample").first.click()
        wide.page.wait_for_function("document.querySelector('#caption-result .sentence')?.innerText.includes('dog')")
        wide.page.locator("#caption-stop").click()
        said = wide.result("caption", "stopped")
    finally:
        host.delay_s = 0.12
    assert "A dog" in said
    assert "beach" not in said
    assert "stopped" in said
    wide.page.locator("#caption-run").click()
    assert "on the beach." in wide.result("caption", "done")


def test_a_closed_page_stops_its_work(browser, growing, monkeypatch):
    monkeypatch.setattr(followed, "GRACE_S", 1.0)
    page = browser.new_page()
    arrive(page, growing.url)
    page.locator("#tab-caption-button").click()
    page.locator("#caption-samples .sample").first.click()
    page.wait_for_selector("#caption-result .is-busy .sentence")
    assert not growing.ended.is_set()
    page.close()
    assert growing.ended.wait(120)


def test_the_language_changes_on_the_page_and_nothing_is_lost(wide):
    page = wide.page
    page.fill("#search-text textarea", "ein Hund auf der Wiese")
    page.locator("#search-run").click()
    wide.result("search", "done")
    page.click("[data-speak]")
    page.wait_for_function("document.querySelector('#search-run')?.innerText === '检索'")
    assert page.input_value("#search-text textarea") == "ein Hund auf der Wiese"
    assert "图片" in wide.result("search", "done")
    assert "拖入" in page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--drop-photo')")
    wide.reload()
    page.wait_for_function("document.querySelector('#search-run')?.innerText === '检索'")
    page.click("[data-speak]")
    page.wait_for_function("document.querySelector('#search-run')?.innerText === 'Search'")


def test_light_and_dark_change_on_the_page_and_stay(wide):
    page = wide.page
    assert not page.evaluate("document.body.classList.contains('dark')")
    page.click("[data-light]")
    assert page.evaluate("document.body.classList.contains('dark')")
    wide.reload()
    page.wait_for_function("document.body.classList.contains('dark')")


def test_a_hit_goes_to_another_tab_with_its_file(wide):
    wide.open_tab("caption")
    wide.page.locator("#caption-samples .sample").first.click()
    wide.result("caption", "done")
    wide.page.locator("#caption-result [data-send=video]").click()
    wide.page.wait_for_selector("#video-photo img", state="visible")
    wide.page.fill("#video-question textarea", "What is it?")
    wide.page.locator("#video-run").click()
    assert "A dog is barking." in wide.result("video", "done")


def test_a_talk_goes_on_and_shows_which_modality_counts(wide):
    wide.open_tab("video")
    wide.page.locator("#video-samples .sample").first.click()
    assert "much" in wide.result("video", "done")
    frames = wide.page.locator("#video-result .strip-frame")
    assert frames.count() == 8
    frames.nth(4).scroll_into_view_if_needed()
    wide.page.wait_for_function(
        "[...document.querySelectorAll('#video-result .strip img')].every((one) => one.complete && one.naturalWidth)"
    )
    start = float(frames.nth(4).get_attribute("data-seek") or 0)
    frames.nth(4).click()
    wide.page.wait_for_function(
        f"[...document.querySelectorAll('#tab-video video')].some((one) => one.currentTime >= {start})"
    )
    wide.page.locator("#video-hide input[type=checkbox]").last.check()
    wide.page.fill("#video-question textarea", "And without the sound?")
    wide.page.keyboard.press("Enter")
    wide.page.wait_for_function("document.querySelectorAll('#video-result .turn').length === 2")
    said = wide.result("video", "done")
    assert "without sound" in said
    assert said.count("A dog is barking.") == 2


def test_a_suggested_question_is_asked_at_one_tap(wide):
    wide.open_tab("video")
    wide.page.locator("#video-samples .sample").first.click()
    wide.result("video", "done")
    wide.page.locator("#video-queries [data-query]", has_text="Is it indoors or outdoors?").click()
    wide.page.wait_for_function("document.querySelectorAll('#video-result .turn').length === 2")
    assert "Is it indoors or outdoors?" in wide.result("video", "done")


def test_the_device_is_switched_in_the_header_with_a_word(wide, scripted):
    wide.page.locator("#device input").click()
    wide.page.locator("[role=option]", has_text="cpu").click()
    wide.page.wait_for_selector(".toast-body")
    assert "Now on CPU: asked for" in wide.page.inner_text(".toast-body")
    assert scripted[1].moves[-1:] == ["cpu"]


def test_running_with_nothing_says_what_to_do_in_every_tab(wide):
    for tab, sentence in (
        ("search", "Type what to look for"),
        ("speech", "Drop or record a sound first"),
        ("video", "Drop a clip first"),
        ("caption", "Drop a photo first"),
    ):
        wide.open_tab(tab)
        wide.page.locator(f"#{tab}-run").click()
        assert sentence in wide.result(tab, "error")
