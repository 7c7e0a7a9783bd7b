"""Nothing is lost: results stay in the history, tab and result have an address, and one sees where work goes on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from studio.server import start
from tests.browser.conftest import WIDE, Visit, arrive, visit
from tests.fake_host import FakeHost

if TYPE_CHECKING:
    from playwright.sync_api import Dialog, Page

pytestmark = pytest.mark.browser
CAPTION = "A dog runs on the beach."


def caption_a_sample(seen: Visit) -> None:
    seen.open_tab("caption")
    seen.page.locator("#caption-samples .sample").first.click()
    assert CAPTION in seen.result("caption", "done")
    seen.page.wait_for_url(re.compile(r"tab=caption&result=\d+"))


def selected(seen: Visit) -> str:
    return str(seen.page.locator("#tabs [role=tab][aria-selected=true]").inner_text())


def test_back_forward_and_a_reload_lead_to_tabs_and_results(wide):
    page = wide.page
    caption_a_sample(wide)
    wide.open_tab("video")
    page.wait_for_url(re.compile("tab=video"))
    page.go_back()
    page.wait_for_function("document.querySelector('#tab-caption-button')?.ariaSelected === 'true'")
    assert CAPTION in wide.result("caption", "done")
    page.go_back()
    assert "Drop a photo" in wide.result("caption", "empty")
    page.go_forward()
    assert CAPTION in wide.result("caption", "done")
    page.go_forward()
    page.wait_for_function("document.querySelector('#tab-video-button')?.ariaSelected === 'true'")
    page.go_back()
    page.wait_for_url(re.compile("tab=caption&result="))
    page.reload()
    assert CAPTION in wide.result("caption", "done")
    assert selected(wide) == "Caption"
    page.wait_for_selector("#caption-photo img")


def test_a_pasted_link_shows_the_result_and_one_to_nothing_says_so(browser, wide, scripted):
    caption_a_sample(wide)
    n_asked = len(scripted[1].requests)
    other = browser.new_page(**WIDE)
    arrive(other, wide.page.url)
    other.wait_for_selector("#caption-result .is-done")
    assert CAPTION in other.inner_text("#caption-result")
    assert len(scripted[1].requests) == n_asked
    other.goto(f"{scripted[0].url}/?tab=video&result=123456")
    other.wait_for_selector("#video-result .is-error")
    assert "no longer in the history" in other.inner_text("#video-result")
    other.close()


def test_the_history_is_searched_opened_and_deleted(wide):
    page = wide.page
    caption_a_sample(wide)
    wide.open_tab("speech")
    page.locator("#speech-samples .sample").first.click()
    wide.result("speech", "done")
    wide.open_tab("history")
    page.wait_for_function("document.querySelectorAll('#history-result .entry').length >= 2")
    newest = page.locator("#history-result .entry").first
    assert "Transcript" in newest.inner_text() and "Good morning." in newest.inner_text()
    picture = page.locator("#history-result .entry img").first.element_handle()
    page.wait_for_function("image => image.complete && image.naturalWidth > 0", arg=picture)
    page.fill("#history-words textarea", "dog beach")
    page.wait_for_function("document.querySelector('#history-result')?.innerText.includes('Good morning.') === false")
    page.locator("#history-result [data-open]").first.click()
    assert CAPTION in wide.result("caption", "done")
    wide.open_tab("history")
    page.wait_for_selector("#history-result .entry")
    before = page.locator("#history-result .entry").count()
    page.locator("#history-result [data-delete]").first.click()
    page.wait_for_function(f"document.querySelectorAll('#history-result .entry').length === {before - 1}")
    page.fill("#history-words textarea", "")
    page.wait_for_function("document.querySelector('#history-result')?.innerText.includes('Good morning.')")
    with page.expect_download() as saved:
        page.get_by_text("Export all").click()
    assert "Good morning." in saved.value.path().read_text(encoding="utf-8")
    page.get_by_text("Delete all").click()
    page.locator("#history-result [data-clear]").click()
    page.wait_for_function("document.querySelector('#history-result')?.innerText.includes('Nothing is here yet')")


def test_nothing_is_kept_while_the_switch_is_off(browser, tmp_path):
    with start(FakeHost(), home=tmp_path, devices=("cpu",)) as served:
        for seen in visit(browser, served.url, WIDE):
            seen.open_tab("history")
            seen.page.locator("#history-keep input").uncheck()
            seen.page.wait_for_function("document.querySelector('#history-result')?.innerText.includes('is off')")
            seen.open_tab("caption")
            seen.page.locator("#caption-samples .sample").first.click()
            seen.result("caption", "done")
            with seen.page.expect_response(lambda answer: "/gradio_api/run/" in answer.url):  # the list as it is now
                seen.open_tab("history")
            seen.take_in()
            assert "Nothing is here yet" in seen.page.inner_text("#history-result")


def _accept_dialogs(page: Page) -> list[str]:
    """Leave the page when it asks; the kinds of dialogs that were seen."""
    seen: list[str] = []

    def accept(dialog: Dialog) -> None:
        seen.append(dialog.type)
        dialog.accept()

    page.on("dialog", accept)
    return seen


def test_one_sees_where_work_goes_on_and_a_reload_finds_it(browser, growing):
    for seen in visit(browser, growing.url, WIDE):
        page = seen.page
        asked = _accept_dialogs(page)
        seen.open_tab("caption")
        page.locator("#caption-samples .sample").first.click()
        page.wait_for_selector("#caption-result .is-busy .sentence")
        page.wait_for_function("document.title.startsWith('●')")
        seen.open_tab("video")
        page.wait_for_selector("#tab-caption-button[data-works]")
        assert page.locator("[data-works]").count() == 1
        page.go_back()
        page.wait_for_url(re.compile("tab=caption&run="))
        seen.reload()
        assert asked == ["beforeunload"]
        page.wait_for_selector("#caption-result .is-busy .sentence")
        assert page.locator("#caption-stop").is_visible() and page.locator("#caption-run").is_disabled()
        growing.may_end.set()
        assert "That was all." in seen.result("caption", "done")
        page.wait_for_url(re.compile(r"tab=caption&result=\d+"))
        page.wait_for_function("document.title === 'Fusion Studio'")
        assert page.locator("#caption-run").is_enabled()


def test_who_stays_when_asked_whether_to_leave_goes_on_seeing_the_run(browser, growing):
    for seen in visit(browser, growing.url, WIDE):
        page = seen.page
        seen.open_tab("caption")
        page.locator("#caption-samples .sample").first.click()
        page.wait_for_function("document.title.startsWith('●')")
        # the browser's own event, where "stay" is the answer
        assert page.evaluate("!dispatchEvent(new Event('beforeunload', { cancelable: true }))")
        said = page.inner_text("#caption-result .sentence")
        page.wait_for_function(
            "said => (document.querySelector('#caption-result .sentence')?.innerText ?? said) !== said", arg=said
        )
        growing.may_end.set()
        assert "That was all." in seen.result("caption", "done")


def test_a_run_found_again_can_be_stopped(browser, growing):
    for seen in visit(browser, growing.url, WIDE):
        page = seen.page
        _accept_dialogs(page)
        seen.open_tab("caption")
        page.locator("#caption-samples .sample").first.click()
        page.wait_for_selector("#caption-result .is-busy .sentence")
        page.wait_for_url(re.compile("tab=caption&run="))
        seen.reload()
        page.wait_for_selector("#caption-stop", state="visible")
        page.locator("#caption-stop").click()
        assert "more." in seen.result("caption", "stopped")
