"""Every word of the page, in English and Chinese, from `assets/locales`.

Three ways a text reaches the page, because gradio has three:

* `label(key)`: labels, placeholders, buttons, tab names. The browser resolves the key, again on every switch.
* `both(key)`: HTML that we write ourselves. It carries both languages; the style sheet shows one.
* `text(key, language)`: toasts and files. Chosen in Python, by the language the page sends as a cookie.

So the language can be switched on the running page, offline, and nothing on it is lost.
"""

from __future__ import annotations

import html
import json
from functools import cache

import gradio as gr
from gradio.i18n import I18nData

from engines.paths import ASSETS

LOCALES = ASSETS / "locales"
LANGUAGES = ("en", "zh")
COOKIE = "fusion_language"


@cache
def texts(language: str) -> dict[str, str]:
    """All texts of the page in one language, key to text. The file of Chinese holds those of `engines.errors` too."""
    loaded: dict[str, str] = json.loads((LOCALES / f"{language}.json").read_text(encoding="utf-8"))
    return {key: sentence for key, sentence in loaded.items() if key.startswith("ui.")}


def text(key: str, language: str, /, **values: object) -> str:
    """A text in one language, its {names} filled in."""
    return texts(language)[key].format(**values)


def label(key: str) -> I18nData:
    """A text that the browser resolves, for anything gradio shows itself."""
    if key not in texts("en"):
        raise KeyError(key)
    return I18nData(key)


def both(key: str, /, **values: object) -> str:
    """HTML with a text in both languages, its {names} filled in and escaped."""
    return spans(*(text(key, language, **values) for language in LANGUAGES))


def spans(en: str, zh: str) -> str:
    """HTML with a sentence in both languages, of which the style sheet shows one."""
    if en == zh:
        return html.escape(en)
    return f'<span class="t" lang="en">{html.escape(en)}</span><span class="t" lang="zh-CN">{html.escape(zh)}</span>'


def knows(key: str) -> bool:
    """Whether there is a text for this key."""
    return key in texts("en")


def translations() -> gr.I18n:
    """The texts as gradio wants them. Its browser side looks for Chinese under "zh-CN" only."""
    return gr.I18n(**{"en": texts("en"), "zh-CN": texts("zh")})


def page_language(request: gr.Request) -> str:
    """The language the page is shown in: its cookie, else what the browser asks for, else English."""
    chosen = request.cookies.get(COOKIE) or request.headers.get("accept-language") or "en"
    return "zh" if chosen.lower().startswith("zh") else "en"
