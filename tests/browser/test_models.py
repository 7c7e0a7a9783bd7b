"""Another model behind the same tabs, opened on the page: looked at, loaded, used, compared, given back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from studio.server import start
from tests.browser.conftest import PHONE, WIDE, Visit, visit
from tests.fake_host import FakeHost
from tests.studio.conftest import FakeCatalogue

pytestmark = pytest.mark.browser


@pytest.fixture
def page_of_the_owner(request, browser, tmp_path) -> Iterator[Visit]:
    """A page whose models come from a catalogue; parametrised by how it is looked at."""
    catalogue = FakeCatalogue()
    with start(FakeHost(), home=tmp_path, devices=("cpu",), opener=catalogue.open, looker=catalogue.look) as served:
        yield from visit(browser, served.url, request.param)


def type_name(page: Visit, name: str, *, task: str = "everything") -> None:
    page.page.fill("#load-name :is(input, textarea)", name)
    page.page.locator(f"#load-task input[value={task}]").check(force=True)


def who(page: Visit) -> str:
    return page.page.inner_text("#models-who")


@pytest.mark.parametrize("page_of_the_owner", [WIDE], indirect=True)
def test_a_model_is_looked_at_loaded_used_and_given_back(page_of_the_owner, tmp_path):
    visit = page_of_the_owner
    page = visit.page
    visit.open_tab("models")
    type_name(visit, "a/omni", task="caption")
    page.click("#load-look")
    assert "277 MiB" in visit.result("load", "done")
    page.click("#load-run")
    page.wait_for_selector("#models-who [data-back=caption]")
    assert "Caption: served by omni from now on." in visit.result("load", "done")
    assert "a/omni" in (tmp_path / "models.json").read_text(encoding="utf-8")
    visit.open_tab("caption")
    page.wait_for_selector("#caption-subtitle .answers")
    assert "Described by omni." in page.inner_text("#caption-subtitle")
    page.locator("#caption-samples .sample").first.click()
    assert "CPU · omni" in visit.result("caption", "done")
    visit.open_tab("models")
    page.click("#models-who [data-back=caption]")
    page.wait_for_selector("#models-who [data-back]", state="detached")
    visit.open_tab("caption")
    page.wait_for_selector("#caption-subtitle .answers", state="detached")


@pytest.mark.parametrize("page_of_the_owner", [WIDE], indirect=True)
def test_a_name_that_is_unknown_is_one_sentence_and_a_load_can_be_stopped(page_of_the_owner):
    visit = page_of_the_owner
    visit.open_tab("models")
    type_name(visit, "a/typo")
    visit.page.keyboard.press("Enter")
    visit.page.click("#load-look")
    assert visit.result("load", "error") == "No host is called 'a/typo'."
    type_name(visit, "a/slow")
    visit.page.click("#load-run")
    visit.page.wait_for_selector("#load-result .bar")
    visit.page.locator("#load-name :is(input, textarea)").press("Enter")
    visit.page.wait_for_selector(".toast-body")
    assert "A model is being loaded" in visit.page.inner_text(".toast-body")
    visit.page.click("#load-stop")
    assert "go on serving" in visit.result("load", "stopped")
    assert "omni" not in who(visit)


@pytest.mark.parametrize("page_of_the_owner", [PHONE], indirect=True)
def test_two_models_answer_side_by_side_on_a_phone(page_of_the_owner):
    visit = page_of_the_owner
    page = visit.page
    visit.open_tab("models")
    type_name(visit, "a/omni", task="ask")
    page.locator("#load-run").tap()
    page.wait_for_selector("#models-who [data-back=ask]")
    assert "问答：今后由 omni 完成。" in visit.result("load", "done")
    page.locator("#compare-samples .sample").first.tap()
    page.wait_for_selector("#compare-photo img", state="visible")
    page.locator("#compare-run").tap()
    said = visit.result("compare", "done")
    assert said.count("A dog runs on the beach.") == 2
    assert "omni" in said and "fake" in said
    assert visit.width() <= 390
    page.locator("#compare-task input[value=translate]").check(force=True)
    page.wait_for_selector("#compare-words", state="visible")
    assert not page.locator("#compare-photo").is_visible()
    assert "__i18n__" not in page.inner_text("body")
