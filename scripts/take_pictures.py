"""Take the README's screenshots of the page with the built-in model, in both languages.

    python -m scripts.take_pictures [--out assets/readme]

Needs Chromium and the extra [test].
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from engines import open_host
from engines.paths import ASSETS
from studio.server import start

if TYPE_CHECKING:
    from playwright.sync_api import Page

WIDTH, HEIGHT = 1280, 800
LOCALES = {"en": "en-US", "zh": "zh-CN"}
PATIENCE_MS = 120_000
SETTLE_MS = 1_500
"""Animations, pictures and players are drawn after a result is there."""


def video(page: Page) -> None:
    """A question about a clip, and what its answer rests on."""
    page.locator("#video-samples .sample").nth(1).click()
    page.wait_for_selector("#video-result .result-card.is-done")


def search(page: Page) -> None:
    """What is found by a sentence, each hit with its reason."""
    page.fill("#search-text textarea", "a dog")
    page.press("#search-text textarea", "Enter")
    page.wait_for_selector("#search-result .result-card.is-done .cards")


def lab(page: Page) -> None:
    """An experiment after its last step."""
    page.locator("#lab-fusion-run").click()
    page.wait_for_selector("#lab-fusion-stop", state="visible")
    page.wait_for_selector("#lab-fusion-stop", state="hidden")


PICTURES: dict[str, Callable[[Page], None]] = {"video": video, "search": search, "lab": lab}
"""Name of the tab and of the picture, and how the tab is brought to what the picture shows."""


def chromium() -> str | None:
    """The browser, if it and what drives it are installed."""
    if importlib.util.find_spec("playwright") is None:
        return None
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def main() -> int:
    """Take them all."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--out", type=Path, default=ASSETS / "readme", help="folder for the pictures")
    out: Path = options.parse_args().out
    program = chromium()
    if program is None:
        print("This needs Chromium and playwright (extra [test]).", file=sys.stderr)
        return 1
    from playwright.sync_api import sync_playwright

    out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as home,
        start(open_host(), home=Path(home)) as served,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for language, locale in LOCALES.items():
            context = browser.new_context(
                viewport={"width": WIDTH, "height": HEIGHT}, locale=locale, reduced_motion="reduce"
            )
            context.set_default_timeout(PATIENCE_MS)
            for name, prepare in PICTURES.items():
                page = context.new_page()
                page.goto(f"{served.url}/?tab={name}")
                page.wait_for_selector(f"#tab-{name}-button[aria-selected=true]")
                prepare(page)
                page.wait_for_timeout(SETTLE_MS)
                page.evaluate("scrollTo(0, 0)")
                picture = Image.open(io.BytesIO(page.screenshot()))
                file = out / f"{name}.webp" if language == "en" else out / f"{name}.{language}.webp"
                picture.save(file, quality=82, method=6)
                print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB", flush=True)
                page.close()
            context.close()
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
