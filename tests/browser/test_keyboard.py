"""Keys: groups have one Tab stop and arrow keys, menus close, names follow the language."""

from __future__ import annotations

import pytest

from tests.browser.conftest import ENGLISH

pytestmark = pytest.mark.browser
FOCUSED = "document.activeElement.value || document.activeElement.dataset.tabId"


def test_the_tabs_have_one_tab_stop_and_arrow_keys(wide):
    page = wide.page
    page.wait_for_function("document.querySelectorAll('#tabs [role=tab][tabindex=\"0\"]').length === 1")
    page.locator("#tab-search-button").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#tab-speech-button[aria-selected=true][tabindex='0']")
    assert page.evaluate(FOCUSED) == "speech"
    page.keyboard.press("End")
    page.wait_for_selector("#tab-models-button[aria-selected=true]")
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#tab-search-button[aria-selected=true]")


def test_a_choice_of_one_has_one_tab_stop_and_arrow_keys(wide):
    page = wide.page
    page.wait_for_function(
        "new Set([...document.querySelectorAll('#search-kind input')].map((radio) => radio.name)).size === 1"
    )
    page.locator("#search-kind input[value=text]").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#search-photo", state="visible")
    assert page.evaluate(FOCUSED) == "photo"
    page.keyboard.press("Tab")
    assert not page.evaluate("document.querySelector('#search-kind').contains(document.activeElement)")


def test_the_device_menu_closes_when_it_is_left(wide):
    page = wide.page
    page.locator("#device input").click()
    page.wait_for_selector("#device [role=option], body > [role=listbox], ul.options")
    page.keyboard.press("Tab")
    page.wait_for_selector("ul.options", state="detached")


NAMES = "[...document.querySelectorAll('#tabs [role=tab]')].map((tab) => tab.innerText.trim()).join()"


def test_a_language_that_arrives_late_does_not_replace_the_one_chosen_since(wide):
    late = []
    wide.page.route("**/zh-CN-*.js", lambda route: late.append(route))
    wide.page.click("[data-speak]")
    wide.page.wait_for_function("document.documentElement.dataset.lang === 'zh'")
    wide.page.click("[data-speak]")
    while not late:
        wide.page.wait_for_timeout(50)
    with wide.page.expect_response("**/zh-CN-*.js"):
        late[0].continue_()
    wide.page.wait_for_timeout(500)
    assert wide.page.evaluate(NAMES) == ",".join(ENGLISH.values())
    assert wide.page.inner_text("#search-run") == "Search"


def reach(page, selector, key="Tab"):
    """Press a key until the focus is on what is wanted."""
    for _ in range(120):
        if page.evaluate("(selector) => Boolean(document.activeElement?.matches(selector))", selector):
            return
        page.keyboard.press(key)
    pytest.fail(f"{selector} was not reached by {key}")


def turn_to(page, tab):
    """Turn to a tab by arrow keys, from wherever the focus is."""
    reach(page, "#tabs [role=tab][aria-selected=true]", "Shift+Tab")
    for _ in ENGLISH:
        if page.evaluate("document.activeElement.id") == f"tab-{tab}-button":
            break
        page.keyboard.press("ArrowRight")
    page.wait_for_selector(f"#tab-{tab}-button[aria-selected=true]")


def test_every_job_is_done_with_the_keyboard_alone(wide):
    page = wide.page
    reach(page, "#search-text textarea")
    page.keyboard.type("a dog")
    page.keyboard.press("Enter")
    wide.result("search", "done")
    for tab in ("speech", "video", "caption"):
        turn_to(page, tab)
        reach(page, f"#{tab}-samples .sample")
        page.keyboard.press("Enter")
        wide.result(tab, "done")
    turn_to(page, "history")
    page.wait_for_selector("#history-result [data-open]")
    reach(page, "#history-result [data-open]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#tab-caption-button[aria-selected=true]")
    page.locator("#tab-caption-button").focus()
    turn_to(page, "lab")
    reach(page, "#lab-fusion-run")
    page.keyboard.press("Enter")
    page.wait_for_selector("#lab-fusion-stop", state="visible")
    page.keyboard.press("Escape")
    page.wait_for_selector("#lab-fusion-stop", state="hidden")
    turn_to(page, "models")
    reach(page, "#device input")
    page.wait_for_function("document.activeElement.ariaExpanded === 'true'")
    page.keyboard.press("Escape")
