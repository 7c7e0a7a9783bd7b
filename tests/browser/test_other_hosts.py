"""Other hosts behind the same tabs, opened on the page: a checkpoint in a folder, a real server, one that fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines import Cancel, Host, Settings, open_host
from engines.hosts.builtin import BuiltinHost
from engines.media import load_sound
from engines.model import checkpoint
from studio.server import Served, start
from tests.browser.conftest import WIDE, Visit, visit
from tests.conftest import SAMPLES, write_sound
from tests.real_server import serving
from tests.scripted_server import CHAT, ScriptedServer, cut_after, silent

pytestmark = pytest.mark.browser

SILENT_S = 4.0
"""How long a server may be silent in these tests."""


def opener(name: str, settings: Settings, *, tell: Any = None, cancel: Cancel | None = None) -> Host:
    """`open_host`, with a tiny untrained model as the built-in one."""
    if name == "builtin":
        return BuiltinHost(checkpoint.tiny(), cache_bytes=2**20)
    return open_host(name, settings, tell=tell or (lambda progress: None), cancel=cancel)


def studio_of(home: Path, settings: Settings) -> Served:
    built_in = opener("builtin", settings)
    return start(built_in, home=home, devices=("cpu",), settings=settings, opener=opener)


@pytest.fixture(scope="module")
def studio(tmp_path_factory) -> Iterator[Served]:
    with studio_of(tmp_path_factory.mktemp("home"), Settings(device="cpu", n_threads=1)) as served:
        yield served


@pytest.fixture
def page_of_the_owner(browser, studio) -> Iterator[Visit]:
    yield from visit(browser, studio.url, WIDE)


# --- what a person does ----------------------------------------------------------------------------------------------


def open_model(seen: Visit, name: str, *, called: str, task: str = "everything") -> None:
    """Type a name in Models & device, load it, and wait until it answers."""
    ask_to_open(seen, name, task=task)
    seen.page.wait_for_selector(f"#models-who .name[title='{called}']")
    assert f"served by {called} from now on." in seen.result("load", "done")


def ask_to_open(seen: Visit, name: str, *, task: str = "everything") -> None:
    seen.open_tab("models")
    seen.page.fill("#load-name :is(input, textarea)", name)
    seen.page.locator(f"#load-task input[value={task}]").check(force=True)
    seen.page.click("#load-run")


def give_everything_back(seen: Visit) -> None:
    seen.open_tab("models")
    seen.page.click("#models-who [data-back='']")
    seen.page.wait_for_selector("#models-who [data-back]", state="detached")


def take_sample(seen: Visit, tab: str, *, file: str = "") -> None:
    """Click a sample of a tab, the first one or that of a title; search for a text."""
    seen.open_tab(tab)
    if tab == "search":  # its wall of samples is gone once something was searched
        seen.page.fill("#search-text textarea", "a dog")
        seen.page.click("#search-run")
    else:
        seen.page.locator(f"#{tab}-samples .sample", has_text=file).first.click()


def answer_of(seen: Visit, tab: str, who: str) -> str:
    """The text of a tab's result once its foot says who answered."""
    seen.page.wait_for_function(
        "([tab, who]) => document.querySelector(`#${tab}-result .is-done .facts`)?.innerText.endsWith(who)",
        arg=[tab, who],
    )
    return seen.result(tab, "done")


def subtitle(seen: Visit, tab: str) -> str:
    seen.open_tab(tab)
    return seen.page.inner_text(f"#{tab}-subtitle")


# --- a checkpoint in a folder ----------------------------------------------------------------------------------------


def test_a_model_that_sees_and_hears_answers_in_every_tab_until_the_built_in_one_is_back(page_of_the_owner, tmp_path):
    from tests.tiny_models import omni

    seen = page_of_the_owner
    open_model(seen, str(omni(tmp_path / "omni")), called="omni")
    for tab in ("speech", "video", "caption"):
        assert "by omni." in subtitle(seen, tab)
        take_sample(seen, tab)
        said = answer_of(seen, tab, "CPU · omni")
    assert "cut off here" in said, "weights that have learnt nothing write until they may not"
    assert "Search: omni does not support this" in subtitle(seen, "search")
    take_sample(seen, "search")
    assert seen.result("search", "error").startswith("omni does not search; choose another model")

    give_everything_back(seen)
    for tab in ("search", "speech", "video", "caption"):
        assert "omni" not in subtitle(seen, tab)
        take_sample(seen, tab)
        answer_of(seen, tab, "CPU · tiny")


# --- a real server ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def transformers_serve(tmp_path_factory) -> Iterator[str]:
    """The address of `transformers serve` on a tiny model that chats about pictures, offline."""
    from tests.tiny_models import gemma

    with serving(gemma(tmp_path_factory.mktemp("served") / "tiny-gemma")) as address:
        yield address


@pytest.mark.slow
def test_a_real_server_answers_in_every_tab_it_can_and_the_others_say_so(page_of_the_owner, transformers_serve):
    seen = page_of_the_owner
    open_model(seen, transformers_serve, called="tiny-gemma")
    for tab in ("video", "caption"):
        assert "by tiny-gemma." in subtitle(seen, tab)
        take_sample(seen, tab)
        assert answer_of(seen, tab, "server · tiny-gemma")
    assert "Transcribe: tiny-gemma does not support this" in subtitle(seen, "speech")
    take_sample(seen, "speech")
    assert seen.result("speech", "error").startswith("tiny-gemma does not write down speech; choose another model")
    put_into_german(seen, "Good morning.")
    answer_of(seen, "speech", "server · tiny-gemma")
    assert "Search: tiny-gemma does not support this" in subtitle(seen, "search")

    give_everything_back(seen)
    for tab in ("search", "speech", "video", "caption"):
        take_sample(seen, tab)
        answer_of(seen, tab, "CPU · tiny")


def put_into_german(seen: Visit, text: str) -> None:
    """Type an English text into Speech and have it put into German."""
    seen.choose("speech", "text")
    seen.page.fill("#speech-text textarea", text)
    choose(seen, "speech-source", "English")
    choose(seen, "speech-target", "German")
    seen.page.click("#speech-run")


def choose(seen: Visit, element: str, name: str) -> None:
    seen.page.locator(f"#{element} input").click()
    seen.page.locator(f"#{element} [role=option]", has_text=name).click()


# --- a server that fails ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def impatient(tmp_path_factory) -> Iterator[Served]:
    """A studio that waits for a server no longer than a test can."""
    settings = Settings(device="cpu", n_threads=1, timeout_s=SILENT_S)
    with studio_of(tmp_path_factory.mktemp("home"), settings) as served:
        yield served


@pytest.fixture
def impatient_page(browser, impatient) -> Iterator[Visit]:
    yield from visit(browser, impatient.url, WIDE)


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (silent, f"was silent for {SILENT_S:g} seconds; ask again, or give it more time."),
        (cut_after("Guten"), "broke off in the middle of its answer; ask again."),
    ],
    ids=["says nothing", "is cut off"],
)
def test_a_server_that_fails_is_one_sentence_and_the_studio_goes_on(impatient_page, reply, sentence):
    seen = impatient_page
    with ScriptedServer() as server:
        open_model(seen, server.url, called="tiny", task="caption")
        server.script(CHAT, reply)
        take_sample(seen, "caption")
        said = seen.result("caption", "error")
        assert server.place in said and sentence in said and "\n" not in said
        take_sample(seen, "speech")
        answer_of(seen, "speech", "CPU · tiny")
        give_everything_back(seen)
        take_sample(seen, "caption")
        answer_of(seen, "caption", "CPU · tiny")


def test_a_key_the_server_does_not_know_is_told_when_it_is_opened(impatient_page):
    seen = impatient_page
    with ScriptedServer(key="right") as server:
        seen.open_tab("models")
        seen.page.click("#load .options button")
        seen.page.fill("#load-key input", "wrong")
        ask_to_open(seen, server.url)
        said = seen.result("load", "error")
    assert "refuses the key" in said and "wrong" not in said
    assert not seen.page.locator("#models-who [data-back]").count()
    take_sample(seen, "caption")
    answer_of(seen, "caption", "CPU · tiny")


# --- with real weights -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whisper() -> Path:
    """Whisper's checkpoint on this machine."""
    folder = Path(os.environ.get("FUSION_STUDIO_WEIGHTS", "nowhere")) / "whisper-base"
    if not folder.is_dir():
        pytest.skip("set FUSION_STUDIO_WEIGHTS to a folder that holds whisper-base to hear it on the page")
    return folder


WATCH_JS = """() => {
  window.grown = [];
  new MutationObserver(() => {
    const rows = document.querySelectorAll('#speech-result .is-busy .segment');
    const text = [...rows].map((row) => row.innerText).join(' ').trim();
    if (text && text !== window.grown.at(-1)) window.grown.push(text);
  }).observe(document.querySelector('#speech-result'), { subtree: true, childList: true, characterData: true });
}"""
"""Keeps what the result shows of a transcript before it is whole."""


def test_whisper_writes_down_what_is_said_word_by_word_and_puts_it_into_english(page_of_the_owner, whisper):
    seen = page_of_the_owner
    open_model(seen, str(whisper), called="whisper-base", task="transcribe")
    seen.open_tab("speech")
    seen.page.evaluate(WATCH_JS)
    choose(seen, "speech-target", "English")
    for sample, heard, meant in (
        ("Good morning (German)", "Guten Morgen", "Good morning"),
        ("On hold (French)", "Votre appel est important", "being patient"),
    ):
        seen.page.evaluate("window.grown.length = 0")
        take_sample(seen, "speech", file=sample)
        seen.page.wait_for_function(
            "word => document.querySelector('#speech-result .is-done')?.innerText.includes(word)", arg=heard
        )
        said = answer_of(seen, "speech", "CPU · whisper-base")
        assert heard in said and meant in said
        grown: list[str] = seen.page.evaluate("window.grown")
        assert len(grown) > 1 and len(grown[0]) < len(grown[-1]), "it was written bit by bit"
    give_everything_back(seen)


def test_whisper_is_stopped_in_the_middle_and_goes_on_with_the_next(page_of_the_owner, whisper, tmp_path):
    seen = page_of_the_owner
    page = seen.page
    spoken = np.concatenate([load_sound(SAMPLES / name).samples for name in ("all-busy.mp3", "company.m4a")])
    lasting = write_sound(tmp_path / "lasting.wav", np.tile(spoken, 20))
    open_model(seen, str(whisper), called="whisper-base", task="transcribe")
    seen.open_tab("speech")
    seen.give("speech", "sound", lasting)
    page.click("#speech-run")
    page.wait_for_selector("#speech-result .is-busy .segment")
    page.click("#speech-stop")
    stopped = seen.result("speech", "stopped")
    assert "whisper-base" in stopped and stopped.count("order it was received") < 10, "most of it was not heard"
    take_sample(seen, "speech", file="On hold (English)")
    assert "in the order it was received" in answer_of(seen, "speech", "CPU · whisper-base")
    give_everything_back(seen)
    take_sample(seen, "speech")
    answer_of(seen, "speech", "CPU · tiny")
