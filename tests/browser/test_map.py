"""The map and the timeline of a collection, by mouse, finger and keys."""

from __future__ import annotations

import pytest

from engines import MapRequest, SearchRequest
from tests.browser.conftest import WIDE, visit

pytestmark = pytest.mark.browser


def show(visit, how):
    """Turn to a way of showing the collection."""
    visit.page.locator(f"#search-how input[value={how}]").check(force=True)
    drawn = '.map[data-drawn]:not([data-drawn=""])' if how == "map" else ".timeline"
    visit.page.wait_for_selector(f"#search-result {drawn}")


def test_an_area_of_the_map_is_chosen_with_the_lasso_and_listed(wide):
    show(wide, "map")
    page = wide.page
    assert "4 of 9" in page.inner_text("#search-result .map-about")
    page.get_by_role("button", name="Select an area").click()
    box = page.locator(".map canvas").bounding_box()
    assert box is not None
    left, right = box["x"] + 4, box["x"] + box["width"] / 2
    page.mouse.move(left, box["y"] + 4)
    page.mouse.down()
    for x, y in ((right, 4), (right, box["height"] - 4), (left, box["height"] - 4)):
        page.mouse.move(x, box["y"] + y, steps=3)
    page.mouse.up()
    page.wait_for_selector("#search-result .cards")
    said = wide.result("search", "done")
    assert "3 files chosen" in said and "bark.wav" in said and "rain.wav" not in said
    page.wait_for_selector("#search-how input[value=list]:checked")


def test_the_map_is_walked_by_arrow_keys_and_a_file_on_it_is_opened(wide):
    show(wide, "map")
    page = wide.page
    page.focus(".map canvas")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.map-name')?.textContent === 'rain.wav'")
    assert "rain" in page.locator(".map [aria-live]").inner_text()
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("document.querySelector('.map-name')?.textContent === 'bark.wav'")
    page.keyboard.press("Enter")
    page.wait_for_selector("#search-result .result-card.is-done:has-text('1 file chosen')")


def test_what_is_like_a_file_of_the_map_is_searched_for(reading):
    show(reading, "map")
    page = reading.page
    page.focus(".map canvas")
    page.keyboard.press("ArrowRight")
    page.get_by_role("button", name="More like this").click()
    page.wait_for_selector("#search-result .cards .meter")
    page.wait_for_selector("#search-how input[value=list]:checked")
    assert not page.locator("#search-kind input[value=text]").is_checked()


def test_a_group_is_listed_at_one_tap_and_named_in_the_pages_language(phone):
    show(phone, "map")
    assert phone.page.locator(".map-clusters button").first.inner_text().split() == ["狗", "3"]
    phone.page.locator(".map-clusters button").first.tap()
    assert "已选 3 个文件" in phone.result("search", "done")
    assert phone.width() <= 390


def test_the_timeline_shows_the_files_by_month_and_lists_one(wide):
    show(wide, "time")
    page = wide.page
    assert page.locator(".period h2").all_inner_texts() == ["June 2024 2", "August 2024 2"]
    page.locator(".bar-of[data-map-jump='2024-08']").click()
    page.locator(".period .sample").first.click()
    assert "dog.jpg" in wide.result("search", "done")


def test_a_search_leads_back_to_the_list_and_its_hits_are_marked_on_the_map(wide, scripted):
    show(wide, "map")
    page = wide.page
    page.locator("#search-queries [data-query]").first.click()
    page.wait_for_selector("#search-result .cards .meter")
    page.wait_for_selector("#search-how input[value=list]:checked")
    drawn = sum(isinstance(request, MapRequest) for request in scripted[1].requests)
    assert isinstance(scripted[1].requests[-1], SearchRequest)
    show(wide, "map")
    assert page.get_attribute(".map", "data-lit") == "[0, 1]"
    assert sum(isinstance(request, MapRequest) for request in scripted[1].requests) == drawn


@pytest.mark.parametrize(("language", "look"), [("en-US", "light"), ("zh-CN", "dark")])
def test_axe_finds_nothing_serious_on_map_and_timeline(browser, scripted, language, look):
    for seen in visit(browser, scripted[0].url, WIDE | {"locale": language}, f"/?__theme={look}"):
        for how in ("map", "time"):
            show(seen, how)
            assert seen.serious_faults() == [], how
