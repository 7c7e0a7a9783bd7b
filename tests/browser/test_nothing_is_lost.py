"""Nothing is lost: results stay in the history, tab and result have an address, and one sees where work goes on."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from engines import Cancel, Cancelled, Host, MapRequest, MapResult, Progress, Request, Result
from engines.lab import fewshot
from studio.server import start
from studio.tabs.lab import ui as lab
from studio.tabs.teach import logic
from tests.browser.conftest import WIDE, Visit, arrive, visit
from tests.browser.test_lab import run, turn_to, until
from tests.browser.test_teach import delete_first, give, name_it, open_teach, samples
from tests.fake_host import FakeHost
from tests.studio.findings import Script

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


# --- runs of the Lab, maps and label sets -----------------------------------------------------------------------------


@pytest.fixture
def script(monkeypatch) -> Script:
    """In place of the experiments: it ends when it is told to."""
    script = Script()
    monkeypatch.setattr(lab, "experiment", script)
    return script


def test_a_reload_finds_the_run_of_the_lab_with_its_settings_and_its_end(wide, script):
    page = wide.page
    _accept_dialogs(page)
    turn_to(wide, "alignment")
    page.locator("#lab-alignment-seed input").fill("42")
    run(wide, "alignment")
    until(wide, "alignment", "step 40 of 120")
    page.wait_for_url(re.compile(r"tab=lab&experiment=alignment&seed=42&run="))
    wide.reload()
    until(wide, "alignment", "step 40 of 120")
    assert page.locator("#lab-alignment-stop").is_visible() and page.locator("#lab-alignment-run").is_disabled()
    script.may_end.set()
    assert "seed 42" in wide.result("lab-alignment", "done")
    assert page.input_value("#lab-alignment-seed input") == "42"
    wide.reload()
    assert "seed 42" in wide.result("lab-alignment", "done")
    assert [request.seed for request, _ in script.asked] == [42]


def test_a_run_of_the_lab_found_again_is_stopped_with_its_curve(wide, script):
    page = wide.page
    _accept_dialogs(page)
    turn_to(wide, "fusion")
    run(wide, "fusion")
    until(wide, "fusion", "step 40 of 120")
    page.wait_for_url(re.compile("tab=lab.*&run="))
    wide.reload()
    page.wait_for_selector("#lab-fusion-stop", state="visible")
    page.locator("#lab-fusion-stop").click()
    assert "stopped" in wide.result("lab-fusion", "stopped")
    assert page.locator("#lab-fusion-result svg.is-wide").is_visible()


def test_a_link_to_the_settings_names_no_run_of_this_page(wide, script):
    page = wide.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    turn_to(wide, "alignment")
    run(wide, "alignment")
    page.wait_for_url(re.compile("experiment=alignment&run="))
    page.locator("#lab-alignment-copy-link").click()
    page.wait_for_function(
        "async () => (await navigator.clipboard.readText()).endsWith('?tab=lab&experiment=alignment')"
    )
    script.may_end.set()
    wide.result("lab-alignment", "done")


def test_a_reload_finds_the_map_that_is_drawn(browser, tmp_path):
    may_end = threading.Event()

    def draw(request: Request) -> Iterator[Result]:
        while not may_end.is_set():
            yield MapResult(request=request, progress=Progress("looking", 1, 2, "files"))
        yield from mapped_by_default(request)

    host = FakeHost(delay_s=0.05)
    mapped_by_default = host.scripts[MapRequest]
    host.scripts[MapRequest] = draw
    with start(host, home=tmp_path, devices=("cpu",)) as served:
        for seen in visit(browser, served.url, WIDE):
            _accept_dialogs(seen.page)
            seen.page.locator("#search-how input[value=map]").check(force=True)
            seen.page.wait_for_url(re.compile("tab=search&run="))
            seen.reload()
            seen.page.wait_for_selector("#search-result .is-busy")
            seen.page.wait_for_selector("#search-how input[value=map]:checked", state="attached")
            may_end.set()
            seen.page.wait_for_selector('#search-result .map[data-drawn]:not([data-drawn=""])')


def test_a_reload_finds_the_label_set_that_is_learnt(reading, monkeypatch):
    page, may_end, learn = reading.page, threading.Event(), fewshot.teach

    def slowly(host: Host, request: Any, cancel: Cancel) -> Iterator[Any]:
        for step in learn(host, request, cancel):
            yield step
            while step.labels is None and not may_end.wait(0.05):
                if cancel.is_set:
                    raise Cancelled
                yield step

    monkeypatch.setattr(logic, "teach", slowly)
    _accept_dialogs(page)
    open_teach(reading)
    name_it(reading, "Pets")
    give(reading, 1, "cat", samples(["cat.jpg"]))
    give(reading, 2, "dog", samples(["dog.jpg"]))
    page.click("#teach-run")
    page.wait_for_selector("#teach-result .is-busy")
    page.wait_for_url(re.compile("experiment=teach&run="))
    reading.reload()
    page.wait_for_selector("#teach-result .is-busy")
    assert page.locator("#teach-stop").is_visible() and page.locator("#teach-run").is_disabled()
    assert page.locator("#teach-name :is(input, textarea)").input_value() == "Pets"
    assert page.input_value("#teach-label-2 textarea") == "dog"
    assert page.locator("#teach .label-row .tile").count() == 2
    may_end.set()
    assert "“Pets” tells apart:" in reading.result("teach", "done")
    assert page.locator("#teach-asking").is_visible()
    delete_first(reading)


def test_a_run_of_the_lab_is_opened_from_the_history_without_running(wide, script):
    page = wide.page
    script.may_end.set()
    turn_to(wide, "fusion")
    page.locator("#lab-fusion-seed input").fill("7")
    run(wide, "fusion")
    wide.result("lab-fusion", "done")
    page.wait_for_url(re.compile(r"experiment=fusion&seed=7.*&result=\d+"))
    page.locator("#lab-fusion-seed input").fill("8")
    wide.reload()
    assert "by 3.0 points" in wide.result("lab-fusion", "done")
    page.wait_for_function("document.querySelector('#lab-fusion-seed input')?.value === '8'")
    page.locator("#lab-which input[value=maml]").check(force=True)
    wide.open_tab("history")
    row = page.locator("#history-result .entry").first
    row.wait_for()
    assert "Lab run" in row.inner_text() and "attention 93.0 %" in row.inner_text()
    row.locator("[data-open]").click()
    page.wait_for_selector("#lab-fusion", state="visible")
    assert "by 3.0 points" in wide.result("lab-fusion", "done")
    page.wait_for_function("document.querySelector('#lab-fusion-seed input')?.value === '7'")
    assert len(script.asked) == 1
