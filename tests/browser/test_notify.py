"""The browser says that a long job has ended: once it was allowed at the switch, and while the page is not seen."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.browser.conftest import PHONE, WIDE, Visit, visit

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

RECORDED = """(allowed) => {
  window.told = []; window.asked = 0; window.unseen = false; window.later = 0;
  window.Notification = class {
    constructor(title, about) { told.push([title, about.body]); last = this; }
    close() {}
  };
  Notification.permission = 'default';
  Notification.requestPermission = async () => { asked += 1; Notification.permission = allowed; return allowed; };
  window.last = null;
  Object.defineProperty(document, 'hidden', { configurable: true, get: () => unseen });
  const { now } = Date;
  Date.now = () => now() + later;
}"""
"""In place of what a browser shows outside the page: what was told, how often leave was asked; `later`: ms that have
passed since."""
SWITCH = "#foot [role=switch]"


def watched(page: Page, allowed: str) -> None:
    page.evaluate(RECORDED, allowed)


def told(page: Page) -> Any:
    return page.evaluate("told")


def caption(seen: Visit, may_end: threading.Event, *, after_ms: int, unseen: bool, ends: str = "done") -> None:
    """Caption a sample, which takes `after_ms` longer than it does; whether the page is seen then."""
    may_end.clear()
    seen.page.evaluate(f"() => {{ later = 0; unseen = {str(unseen).lower()}; }}")
    seen.page.locator("#caption-samples .sample").first.click()
    seen.page.wait_for_selector("#tab-caption-button[data-works]")
    seen.page.evaluate(f"later = {after_ms}")
    may_end.set()
    seen.result("caption", ends)
    seen.page.wait_for_selector("#tab-caption-button:not([data-works])")


def test_it_asks_at_the_switch_alone_and_tells_of_long_jobs_that_end_unseen(browser, growing):
    for seen in visit(browser, growing.url, WIDE):
        page = seen.page
        watched(page, "granted")
        seen.open_tab("caption")
        caption(seen, growing.may_end, after_ms=60_000, unseen=True)
        assert page.evaluate("asked") == 0 and told(page) == []
        page.locator(SWITCH).click()
        page.wait_for_selector(f"{SWITCH}[aria-checked=true]")
        caption(seen, growing.may_end, after_ms=60_000, unseen=False)
        caption(seen, growing.may_end, after_ms=0, unseen=True)
        assert told(page) == [], "the page is seen, or the job was short"
        caption(seen, growing.may_end, after_ms=60_000, unseen=True)
        assert told(page) == [["Caption · Fusion Studio", "A job has ended; its result is there."]]
        seen.open_tab("lab")
        page.evaluate("last.onclick()")
        page.wait_for_selector("#tab-caption-button[aria-selected=true]")
        page.locator("#caption-language input[value=de]").check(force=True)
        caption(seen, growing.may_end, after_ms=60_000, unseen=True, ends="error")
        assert told(page)[1:] == [["Caption · Fusion Studio", "A job has failed; the page says why."]]
        page.locator(SWITCH).click()
        page.wait_for_selector(f"{SWITCH}[aria-checked=false]")
        page.locator("#caption-language input[value=en]").check(force=True)
        caption(seen, growing.may_end, after_ms=60_000, unseen=True)
        assert len(told(page)) == 2 and page.evaluate("asked") == 1


def test_where_the_browser_refuses_the_switch_stays_off_and_says_what_to_do(browser, growing):
    for seen in visit(browser, growing.url, PHONE):
        watched(seen.page, "denied")
        seen.page.locator(SWITCH).tap()
        seen.page.wait_for_selector("[data-notify-problem=denied]", state="visible")
        assert "浏览器不允许本页发送通知" in seen.page.inner_text("#foot")
        assert seen.page.get_attribute(SWITCH, "aria-checked") == "false"


def test_a_page_that_cannot_notify_says_so(browser, growing):
    for seen in visit(browser, growing.url, WIDE):
        seen.page.evaluate("delete window.Notification")
        seen.page.locator(SWITCH).click()
        assert "cannot notify you from this page" in seen.page.inner_text("#foot")
