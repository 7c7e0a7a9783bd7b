"""The first screen: what a stranger sees, and what happens at the first click, key and word."""

from __future__ import annotations

import pytest

from engines import SearchRequest
from tests.browser.conftest import PATIENCE_MS, Visit

pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("size", "width", "says"), [("wide", 1440, "one model"), ("phone", 390, "一个就在这台电脑上")])
def test_it_says_what_this_is_and_shows_what_can_be_searched(request, size, width, says):
    visit: Visit = request.getfixturevalue(size)
    assert says in visit.page.inner_text("#lead")
    wall = visit.page.locator("#search-result .sample")
    assert wall.count() > 20
    assert visit.page.locator("#search-queries [data-query]").count() == 3
    assert visit.width() <= width
    picture = wall.first.locator("img")
    visit.page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=picture.element_handle())


def test_a_suggested_query_is_searched_at_one_tap(phone, scripted):
    phone.page.locator("#search-queries [data-query]").nth(1).click()
    assert "dog.jpg" in phone.result("search", "done")
    assert phone.page.input_value("#search-text textarea") == "雨声"
    asked = scripted[1].requests[-1]
    assert isinstance(asked, SearchRequest) and asked.query == "雨声"


def test_enter_searches_and_what_does_not_fit_is_folded_away(wide):
    page = wide.page
    page.fill("#search-text textarea", "a dog")
    page.press("#search-text textarea", "Enter")
    said = wide.result("search", "done")
    assert "dog.jpg" in said and "bark.wav" in said
    assert page.inner_text("#search-run") == "Search"
    assert "1 that does not fit" in said and not page.get_by_text("walk.mp4").is_visible()
    page.get_by_text("1 that does not fit").click()
    assert page.get_by_text("walk.mp4").is_visible()
    best, other = (page.locator("#search-result .card").nth(n).bounding_box() for n in (0, 1))
    assert best is not None and other is not None and best["width"] > 1.5 * other["width"]
    page.locator("#search-result [data-wall]").click()
    assert "samples to search" in wide.result("search", "empty")


def test_it_searches_as_one_types_once_the_samples_are_read(wide, scripted):
    page = wide.page
    page.fill("#search-text textarea", "a cat")
    page.press("#search-text textarea", "Enter")
    wide.result("search", "done")
    page.locator("#search-text textarea").press_sequentially(" asleep")
    page.wait_for_function("document.querySelector('#search-result .is-done')")
    asked = scripted[1].requests
    for _ in range(PATIENCE_MS // 100):
        last = asked[-1]
        if isinstance(last, SearchRequest) and last.query == "a cat asleep":
            break
        page.wait_for_timeout(100)
    else:
        pytest.fail("what was typed was not searched")
    assert not page.locator("#search-stop").is_visible() and page.locator("#search-run").is_enabled()
    page.press("#search-text textarea", "Control+a")
    page.keyboard.press("Backspace")
    assert "samples to search" in wide.result("search", "empty")


def test_on_a_phone_the_result_comes_into_view(phone):
    phone.page.locator("#search-queries [data-query]").first.click()
    phone.result("search", "done")
    phone.page.wait_for_function(
        "document.querySelector('#search-result').getBoundingClientRect().top < 0.6 * innerHeight"
    )
