"""A real browser on a real server: every request it makes and every complaint it has are kept and judged."""

from __future__ import annotations

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["HF_HUB_OFFLINE"] = "1"

import itertools
import shutil
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from engines import CaptionRequest, CaptionResult, MediaError, Request, Result
from studio.server import Served, start
from tests.conftest import tone, write_sound
from tests.fake_host import FakeHost

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WIDE: dict[str, Any] = {"viewport": {"width": 1440, "height": 900}, "locale": "en-US"}
PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "locale": "zh-CN",
    "color_scheme": "dark",
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
}
PATIENCE_MS = 90_000
"""How long a busy machine may take for anything; nothing is asserted about it."""

TABS = {
    "search": "检索", "speech": "语音", "video": "视频", "caption": "描述", "history": "历史", "lab": "实验室",
    "models": "模型与设备",
}  # fmt: skip
ENGLISH = {
    "search": "Search", "speech": "Speech", "video": "Video", "caption": "Caption", "history": "History",
    "lab": "Lab", "models": "Models & device",
}  # fmt: skip


@pytest.fixture(scope="session")
def spoken_file(tmp_path_factory) -> Path:
    """What the pretended microphone hears: a tone that comes and goes, 48 kHz as the browser wants it."""
    import wave

    samples = np.repeat(tone(3.0), 3)
    path = tmp_path_factory.mktemp("microphone") / "spoken.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(48_000)
        file.writeframes((samples * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="session")
def browser(spoken_file) -> Iterator[Browser]:
    """Chromium, with a microphone that plays a file."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra [test])")
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium here; install it (Debian: apt-get install chromium) to test the page in a browser")
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
    microphone = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={spoken_file}",
    ]
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-gpu", "--disable-quic", *quiet, *microphone]
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def scripted(tmp_path_factory) -> Iterator[tuple[Served, FakeHost]]:
    """The page over the scripted host, slow enough for states to be seen."""
    host = FakeHost(delay_s=0.12)
    with start(host, home=tmp_path_factory.mktemp("home"), devices=("cpu",)) as served:
        yield served, host


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Iterator[Served]:
    """The page over the built-in host with a tiny, untrained model: real files are really read."""
    from engines.hosts.builtin import BuiltinHost
    from engines.model import checkpoint

    host = BuiltinHost(checkpoint.tiny(), cache_bytes=2**20)
    with start(host, home=tmp_path_factory.mktemp("home"), devices=("cpu",)) as served:
        yield served
    host.close()


@dataclass
class Visit:
    """An open page and what the browser said about it. may_complain: it is shown what a browser complains of."""

    page: Page
    url: str
    is_phone: bool
    foreign: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    may_complain: bool = False

    def open_tab(self, tab: str) -> None:
        """Click a tab, through the "..." menu where the phone has put it there."""
        name = (TABS if self.is_phone else ENGLISH)[tab]
        button = self.page.get_by_role("tab", name=name, exact=True).first
        if button.is_visible():
            button.click()
        else:
            self.page.locator("#tabs .overflow-menu > button").first.click()
            self.page.locator("#tabs .overflow-dropdown button", has_text=name).click()
        self.page.wait_for_selector(f"#{tab}-card, #{tab}-result, #{tab}-which", state="visible")

    def result(self, tab: str, state: str) -> str:
        """The text of a tab's result once it is in a state."""
        part = self.page.wait_for_selector(f"#{tab}-result .result-card.is-{state}")
        assert part is not None
        return str(part.inner_text())

    def give(self, tab: str, kind: str, path: Path) -> None:
        """Turn to a kind of input and upload a file there."""
        self.choose(tab, kind)
        self.page.locator(f"#{tab}-{kind} input[type=file]").first.set_input_files(path)
        self.page.wait_for_selector(f"#{tab}-{kind} .icon-button-wrapper button", state="attached")

    def choose(self, tab: str, kind: str) -> None:
        """Turn to a kind of input."""
        self.page.locator(f"#{tab}-kind input[value={kind}]").check(force=True)
        self.page.wait_for_selector(f"#{tab}-{kind}", state="visible")

    def upload(self, selector: str, path: Path) -> None:
        """Choose a file, and wait until it has reached the server and the page knows."""
        with self.page.expect_response(is_upload):
            self.page.locator(f"{selector} input[type=file]").first.set_input_files(path)
        self.take_in()

    def take_in(self) -> None:
        """Let the page take in what has just been answered: its timer runs after whatever waits there now."""
        self.page.evaluate("new Promise((done) => setTimeout(done, 300))")

    def serious_faults(self) -> list[str]:
        """What axe finds that keeps people out, once everything has faded in: half-faded text lacks contrast."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="extra [test]")
        self.page.wait_for_function(
            "document.getAnimations().every((one) => one.playState !== 'running'"
            " || one.effect.getComputedTiming().iterations === Infinity)"
        )
        found = axe.Axe().run(self.page).response["violations"]
        serious = [fault for fault in found if fault["impact"] in ("serious", "critical")]
        return [f"{fault['help']}: {fault['nodes'][0]['html'][:160]}" for fault in serious]

    def serious_faults_on_a_phone(self) -> list[str]:
        """What axe finds once the page is as narrow as a phone; it is as wide as before afterwards."""
        before = self.page.viewport_size
        assert before is not None
        self.page.set_viewport_size(PHONE["viewport"])
        self.take_in()
        found = self.serious_faults()
        self.page.set_viewport_size(before)
        return found

    def reload(self) -> None:
        """Load the page anew."""
        self.page.reload()
        self.page.wait_for_selector("#tabs [role=tab][aria-selected=true]")

    def width(self) -> int:
        return int(self.page.evaluate("document.documentElement.scrollWidth"))


def _is_left_behind(said: str, where: str) -> bool:
    """Whether the browser tells of the stream of a page that is being left: gradio closes it as soon as one may leave,
    and opens another for an event that is on its way, of which its server knows nothing any more."""
    return "Unexpected error 404" in said or ("ERR_INCOMPLETE_CHUNKED_ENCODING" in said and "/queue/data?" in where)


EXPECTED = ("favicon", "manifest", "nothing.mp4")  # an empty clip cannot be shown, which the browser says


def is_upload(answer: Any) -> bool:
    return "/upload" in answer.url and answer.request.method == "POST"


def arrive(page: Page, url: str) -> None:
    """Open the page. Its own first request shows that its buttons are wired; a click before that is lost."""
    page.set_default_timeout(PATIENCE_MS)
    with page.expect_response(lambda answer: answer.request.method == "POST" and "/gradio_api/" in answer.url):
        page.goto(url)


def visit(
    browser: Browser, url: str, options: dict[str, Any], query: str = "", *, ready: str = "#search-run"
) -> Iterator[Visit]:
    context = browser.new_context(**options)
    context.grant_permissions(["microphone"])
    page = context.new_page()
    seen = Visit(page, url, options is PHONE)
    page.on(
        "request",
        lambda request: None if request.url.startswith((url, "blob:", "data:")) else seen.foreign.append(request.url),
    )
    page.on("pageerror", lambda error: seen.complaints.append(str(error)) if "AbortError" not in str(error) else None)
    page.on(
        "console",
        lambda said: (
            seen.complaints.append(f"{said.text} {said.location}")
            if said.type == "error"
            and "AbortError" not in said.text  # a stream that a click has left behind
            and "Waveform load error: MediaError" not in said.text  # a broken sound, which the page says too
            and not _is_left_behind(said.text, str(said.location))
            and not any(word in str(said.location) for word in EXPECTED)
            else None
        ),
    )
    arrive(page, url + query)
    page.wait_for_selector(ready, state="visible")
    yield seen
    context.close()
    assert seen.foreign == [], "the page asked other hosts"
    assert seen.may_complain or seen.complaints == []


@pytest.fixture
def wide(browser, scripted) -> Iterator[Visit]:
    """A desktop, English, light, over the scripted host."""
    yield from visit(browser, scripted[0].url, WIDE)


@pytest.fixture
def phone(browser, scripted) -> Iterator[Visit]:
    """A phone, Chinese, dark, over the scripted host."""
    yield from visit(browser, scripted[0].url, PHONE)


@pytest.fixture
def reading(browser, tiny) -> Iterator[Visit]:
    """A desktop over the host that really reads files."""
    yield from visit(browser, tiny.url, WIDE)


@pytest.fixture
def pocket(browser, tiny) -> Iterator[Visit]:
    """A phone, Chinese, dark, over the host that really reads files."""
    yield from visit(browser, tiny.url, PHONE)


@dataclass(frozen=True)
class Growing:
    """A page whose captions grow until `may_end` is set; then those in German fail. ended: one ended or was left."""

    url: str
    may_end: threading.Event
    ended: threading.Event


@pytest.fixture
def growing(tmp_path) -> Iterator[Growing]:
    may_end, ended = threading.Event(), threading.Event()

    def grow(request: Request) -> Iterator[Result]:
        assert isinstance(request, CaptionRequest)
        try:
            for n in itertools.count():
                yield CaptionResult(request=request, text=f"A dog and {n} more.")
                if may_end.is_set():
                    break
            if request.language == "de":
                raise MediaError("test", "It broke.")
            yield CaptionResult(request=request, text="That was all.", end="finished")
        finally:
            ended.set()

    with start(FakeHost(delay_s=0.1, scripts={CaptionRequest: grow}), home=tmp_path, devices=("cpu",)) as served:
        yield Growing(served.url, may_end, ended)
        may_end.set()


@pytest.fixture
def sound_file(tmp_path) -> Path:
    return write_sound(tmp_path / "tone.wav", tone(2.0))
