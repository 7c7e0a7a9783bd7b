"""Hide a modality in a browser: words are hidden with the mouse and the keyboard, answers stand side by side."""

from __future__ import annotations

import pytest

from studio.i18n import text
from tests.browser.conftest import Visit
from tests.conftest import SAMPLES

pytestmark = pytest.mark.browser


def open_masking(seen: Visit) -> None:
    """Turn to the lab, and there to the panel."""
    seen.open_tab("lab")
    seen.page.locator("#lab-which").get_by_text(text("ui.lab.name.masking", "zh" if seen.is_phone else "en")).click()
    seen.page.wait_for_selector("#masking-run", state="visible")


def hidden_words(seen: Visit) -> list[str]:
    return [word.strip() for word in seen.page.locator("#masking-chosen label.selected").all_inner_texts()]


def test_a_sentence_is_typed_its_words_are_hidden_and_it_is_translated_both_ways(reading):
    page = reading.page
    open_masking(reading)
    page.click("#masking-run")
    assert "Drop a photo first" in reading.result("masking", "error")
    page.locator("#masking-photo input[type=file]").first.set_input_files(SAMPLES / "dog.jpg")
    page.fill("#masking-sentence textarea", "A dog on a beach.")
    page.locator("#masking-chosen").get_by_text("dog", exact=True).click()
    page.locator("#masking-chosen").get_by_text("A", exact=True).locator("xpath=ancestor::label//input").focus()
    page.keyboard.press("Space")
    page.wait_for_function("document.querySelectorAll('#masking-chosen label.selected').length === 2")
    assert hidden_words(reading) == ["A", "dog"]
    page.click("#masking-run")
    said = reading.result("masking", "done")
    assert "___ on a beach." in said and "From the text alone" in said and "With the photo" in said
    page.fill("#masking-sentence textarea", "Cats.")
    page.wait_for_function("document.querySelectorAll('#masking-chosen label').length === 1")
    assert hidden_words(reading) == ["Cats."]
    page.click("#masking-run")
    assert "Leave at least one word" in reading.result("masking", "error")


def test_a_clip_is_asked_about_three_times_and_escape_stops(wide, scripted, monkeypatch):
    page = wide.page
    open_masking(wide)
    with monkeypatch.context() as slow:
        slow.setattr(scripted[1], "delay_s", 0.4)
        page.locator("#muting-samples .sample").first.click()
        page.locator("#muting-result .result-card.is-busy .sentence").nth(1).wait_for()  # so the first answer is whole
        page.keyboard.press("Escape")
        assert "A dog is barking." in wide.result("muting", "stopped")
    page.wait_for_selector("#muting-stop", state="hidden")
    page.click("#muting-run")
    assert wide.result("muting", "done").count("80% sure") == 3
    page.locator("#masking-samples .sample").first.click()
    assert "cannot write by text and photo" in wide.result("masking", "error")


def test_the_panel_fits_a_phone_in_chinese_in_the_dark(pocket):
    page = pocket.page
    open_masking(pocket)
    page.locator("#masking-samples .sample").first.click()
    assert "文字加图片" in pocket.result("masking", "done")
    assert hidden_words(pocket) == ["dog"]
    assert pocket.width() <= 390
    assert "__i18n__" not in page.inner_text("body") and "ui.masking" not in page.inner_text("body")
