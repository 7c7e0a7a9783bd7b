"""Record a tour of the page with the built-in model: search, speech, questions about a clip, captions, the Lab.

    python -m scripts.record_tour tour.webm [--language zh] [--speed 1]

Everything on it runs live, as it does for a person, waits included. Needs Chromium and the extra [test].
"""

from __future__ import annotations

import argparse
import base64
import io
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
from PIL import Image

from engines import open_host
from scripts.take_pictures import HEIGHT, LOCALES, PATIENCE_MS, WIDTH, chromium
from studio.server import start

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

TICKS = 1000
"""Of the film's clock per second."""
LOOK_MS = 2_500
"""How long a result is shown, divided by --speed."""
KEY_MS = 70
"""Between two letters that are typed."""
POINTER = """
addEventListener('DOMContentLoaded', () => {
  const dot = document.createElement('div');
  dot.style = 'position:fixed;z-index:99999;width:18px;height:18px;margin:-9px;border-radius:50%;pointer-events:none;'
    + 'background:rgb(80 120 255 / .35);border:2px solid rgb(80 120 255 / .9);left:50%;top:50%';
  document.documentElement.append(dot);
  addEventListener('mousemove', ({ clientX, clientY }) => {
    dot.style.left = `${clientX}px`;
    dot.style.top = `${clientY}px`;
  }, true);
});
"""
"""A headless browser draws no pointer."""


class Film:
    """Writes what a page shows to a WebM file, each picture at the time it was drawn."""

    def __init__(self, path: Path, page: Page) -> None:
        self._container = av.open(str(path), "w")
        self._stream: Any = self._container.add_stream("libvpx-vp9", rate=25)
        self._stream.width, self._stream.height, self._stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        self._stream.codec_context.time_base = Fraction(1, TICKS)
        self._stream.options = {"deadline": "realtime", "cpu-used": "8", "crf": "34", "b": "0"}
        self._begin_s, self._last = 0.0, -1
        self._session = page.context.new_cdp_session(page)
        self._session.on("Page.screencastFrame", self._add)
        self._session.send("Page.startScreencast", {"format": "jpeg", "quality": 85})

    def _add(self, event: dict[str, Any]) -> None:
        self._session.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})
        at_s = float(event["metadata"]["timestamp"])
        self._begin_s = self._begin_s or at_s
        tick = round((at_s - self._begin_s) * TICKS)
        if tick <= self._last:
            return
        self._last = tick
        picture = Image.open(io.BytesIO(base64.b64decode(event["data"]))).convert("RGB").resize((WIDTH, HEIGHT))
        frame = av.VideoFrame.from_image(picture)
        frame.pts, frame.time_base = tick, Fraction(1, TICKS)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> float:
        """End the film; returns its seconds."""
        self._session.send("Page.stopScreencast")
        self._container.mux(self._stream.encode(None))
        self._container.close()
        return self._last / TICKS


class Visitor:
    """A person at the page, who moves, types and looks at human speed."""

    def __init__(self, page: Page, speed: float) -> None:
        self.page, self.speed = page, speed

    def look(self, n: float = 1.0) -> None:
        """Look at what is there for n times `LOOK_MS`."""
        self.page.wait_for_timeout(n * LOOK_MS / self.speed)

    def click(self, selector: str, n: int = 0) -> None:
        """Move to the n-th part and click it."""
        part = self.page.locator(selector).nth(n)
        part.scroll_into_view_if_needed()
        self._move(part)
        part.click()

    def type(self, selector: str, text: str) -> None:
        """Type a text in the place of what a field holds."""
        self.click(selector)
        self.page.keyboard.press("ControlOrMeta+A")
        self.page.keyboard.type(text, delay=KEY_MS / self.speed)

    def open(self, tab: str) -> None:
        """Open a tab."""
        self.click(f"#tab-{tab}-button")
        self.look(0.5)

    def wait(self, tab: str) -> None:
        """Wait until a tab's result is there, and look at it."""
        self.page.wait_for_selector(f"#{tab}-result .result-card.is-done")
        self.look(1.5)

    def _move(self, part: Locator) -> None:
        box = part.bounding_box()
        if box is not None:
            self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=25)
            self.look(0.15)


def tour(visitor: Visitor) -> None:
    """What the film shows."""
    visitor.look()
    for query in ("a dog on the beach", "the sound of rain", "espresso"):
        visitor.type("#search-text textarea", query)
        visitor.page.keyboard.press("Enter")
        visitor.wait("search")
    visitor.open("speech")
    visitor.click("#speech-samples .sample")
    visitor.wait("speech")
    visitor.open("video")
    visitor.click("#video-samples .sample", 1)
    visitor.wait("video")
    visitor.type("#video-question textarea", "What color is it?")
    visitor.page.keyboard.press("Enter")
    visitor.page.wait_for_function("document.querySelectorAll('#video-result .turn')?.length === 2")
    visitor.wait("video")
    visitor.open("caption")
    for n in range(2):
        visitor.click("#caption-samples .sample", n)
        visitor.wait("caption")
    visitor.open("lab")
    visitor.click("#lab-fusion-run")
    visitor.page.wait_for_selector("#lab-fusion-stop", state="visible")
    visitor.page.wait_for_selector("#lab-fusion-stop", state="hidden")
    visitor.look(2)
    visitor.click("[data-light]")
    visitor.look()
    visitor.open("search")
    visitor.look()


def main() -> int:
    """Record it."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("film", type=Path, help="the WebM file to write")
    options.add_argument("--language", choices=sorted(LOCALES), default="en", help="of the page")
    options.add_argument("--speed", type=float, default=1.0, help="of the person, not of the machine")
    given = options.parse_args()
    program = chromium()
    if program is None:
        print("This needs Chromium and playwright (extra [test]).", file=sys.stderr)
        return 1
    from playwright.sync_api import sync_playwright

    with (
        tempfile.TemporaryDirectory() as home,
        start(open_host(), home=Path(home)) as served,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, locale=LOCALES[given.language])
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.add_init_script(POINTER)
        page.goto(served.url)
        page.wait_for_selector("#tab-search-button[aria-selected=true]")
        film = Film(given.film, page)
        tour(Visitor(page, given.speed))
        seconds = film.close()
        browser.close()
    print(f"{given.film}: {seconds:.0f} s, {given.film.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
