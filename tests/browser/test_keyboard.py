"""Keys: groups have one Tab stop and arrow keys, menus close, names follow the language."""

from __future__ import annotations

import pytest

from tests.browser.conftest import ENGLISH, TABS

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


def test_every_tab_changes_its_name_with_the_language(wide):
    names = "[...document.querySelectorAll('#tabs [role=tab]')].map((tab) => tab.innerText.trim()).join()"
    wide.page.click("[data-speak]")
    wide.page.wait_for_function(f"{names} === {','.join(TABS.values())!r}")
    wide.page.click("[data-speak]")
    wide.page.wait_for_function(f"{names} === {','.join(ENGLISH.values())!r}")
