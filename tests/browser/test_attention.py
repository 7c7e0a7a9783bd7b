"""The Lab's attention in a browser: a sample is shown at once, words are chosen by pointing and by keys."""

from __future__ import annotations

import pytest

from studio.i18n import text
from tests.browser.conftest import Visit
from tests.conftest import SAMPLES

pytestmark = pytest.mark.browser
LIT = "() => [...document.querySelectorAll('.attention-part i')].map((place) => place.style.opacity).join()"


def open_attention(seen: Visit) -> None:
    seen.open_tab("lab")
    language = "zh" if seen.is_phone else "en"
    seen.page.locator("#lab-which").get_by_text(text("ui.lab.name.attention", language), exact=True).click()
    seen.page.wait_for_selector("#attention-result .is-done .attention-line:not(:empty)")


def test_a_sample_is_shown_at_once_and_a_word_lights_what_it_looked_at(reading):
    page = reading.page
    open_attention(reading)
    words = page.locator("[data-of=word] label")
    first = page.evaluate(LIT)
    said = page.inner_text(".attention-line")
    assert "an even share" in said and page.locator(".attention-words :checked").count() == 1
    chosen = int(
        page.evaluate("[...document.querySelectorAll('[data-of=word] input')].findIndex((word) => word.checked)")
    )
    other = words.nth((chosen + 1) % words.count())
    other.hover()
    assert page.inner_text(".attention-line").startswith(f"“{other.inner_text().strip()}”")
    page.mouse.move(0, 0)
    assert page.evaluate(LIT) == first and page.inner_text(".attention-line") == said, "pointing chooses nothing"
    other.click()
    page.mouse.move(0, 0)
    assert page.inner_text(".attention-line").startswith(f"“{other.inner_text().strip()}”")


def test_words_and_blocks_are_chosen_by_the_arrow_keys(reading):
    page = reading.page
    open_attention(reading)
    page.wait_for_function("document.querySelector('[data-of=word] input')?.name.startsWith('group')")
    page.locator("[data-of=word] :checked").focus()
    before = page.inner_text(".attention-line")
    page.keyboard.press("ArrowRight")
    assert page.inner_text(".attention-line") != before and page.locator("[data-of=word] :checked").count() == 1
    page.locator("[data-of=layer] :checked").focus()
    at = page.evaluate(LIT)
    page.keyboard.press("ArrowRight")
    assert (
        page.evaluate("document.activeElement.closest('fieldset').dataset.of") == "layer" and page.evaluate(LIT) != at
    )


def test_a_photo_of_ones_own_fits_a_phone_in_chinese_in_the_dark(pocket):
    page = pocket.page
    open_attention(pocket)
    page.locator("#attention-photo input[type=file]").first.set_input_files(SAMPLES / "astronaut.jpg")
    page.click("#attention-run")
    page.wait_for_selector("#attention-result .is-busy", state="detached")
    page.wait_for_selector("#attention-result .is-done .attention-line:not(:empty)")
    assert "平均分配" in page.inner_text(".attention-line") and pocket.width() <= 390
    assert "ui.attention" not in page.inner_text("body")
