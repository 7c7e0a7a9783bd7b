"""Keys, screen readers and narrow screens: groups have one Tab stop, menus close, nothing serious is found by axe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import ENGLISH, PHONE, TABS, WIDE, Visit, visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from studio.app import Served
    from tests.fake_host import FakeHost

pytestmark = pytest.mark.browser
FOCUSED = "document.activeElement.value || document.activeElement.dataset.tabId"


def test_the_tabs_have_one_tab_stop_and_arrow_keys(wide: Visit) -> None:
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


def test_a_choice_of_one_has_one_tab_stop_and_arrow_keys(wide: Visit) -> None:
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


def test_the_device_menu_closes_when_it_is_left(wide: Visit) -> None:
    page = wide.page
    page.locator("#device input").click()
    page.wait_for_selector("#device [role=option], body > [role=listbox], ul.options")
    page.keyboard.press("Tab")
    page.wait_for_selector("ul.options", state="detached")


def test_every_tab_changes_its_name_with_the_language(wide: Visit) -> None:
    names = "[...document.querySelectorAll('#tabs [role=tab]')].map((tab) => tab.innerText.trim()).join()"
    wide.page.click("[data-speak]")
    wide.page.wait_for_function(f"{names} === {','.join(TABS.values())!r}")
    wide.page.click("[data-speak]")
    wide.page.wait_for_function(f"{names} === {','.join(ENGLISH.values())!r}")


@pytest.mark.parametrize(
    ("options", "theme"), [(WIDE, "light"), (PHONE, "dark")], ids=["English light", "Chinese dark"]
)
def test_nothing_serious_is_found_on_any_tab(
    browser: Browser, scripted: tuple[Served, FakeHost], options: dict[str, Any], theme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="extra [test] is not installed").Axe()
    serious: list[str] = []
    for seen in visit(browser, scripted[0].url, options, query=f"?__theme={theme}"):
        for tab in ENGLISH:
            seen.open_tab(tab)
            seen.page.wait_for_timeout(300)
            for found in axe.run(seen.page).response["violations"]:
                if found["impact"] in ("serious", "critical"):
                    where = [node["target"] for node in found["nodes"]][:4]
                    serious.append(f"{tab}: {found['id']} {where}")
    assert not serious, "\n".join(serious)
