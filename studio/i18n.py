"""The texts of the page in English and Chinese, from `assets/locales`.

A text reaches the page in one of three ways:

* `label(key)`: labels, placeholders, buttons, tab names. The browser resolves the key, again on every switch.
* `both(key)`: our own HTML. It carries both languages; the style sheet shows one.
* `text(key, language)`: toasts and files. Chosen in Python by the language cookie of the page.

So the language can be switched on the running page, offline, without losing anything on it.
"""

from __future__ import annotations

import html
import json
from functools import cache

import gradio as gr
from gradio.i18n import I18nData

from engines import Message, UserError
from engines.paths import ASSETS

LOCALES = ASSETS / "locales"
LANGUAGES = ("en", "zh")
COOKIE = "fusion_language"


@cache
def texts(language: str) -> dict[str, str]:
    """All texts of the page in one language, by key. The Chinese file also holds those of `engines.errors`."""
    loaded: dict[str, str] = json.loads((LOCALES / f"{language}.json").read_text(encoding="utf-8"))
    return {key: value for key, value in loaded.items() if key.startswith("ui.")}


class _Count(int):
    """A number whose format spec gives the noun: "{n:file|files}" is "1 file" or "2 files"."""

    def __format__(self, spec: str) -> str:
        if "|" not in spec:
            return format(int(self), spec)
        one, many = spec.split("|")
        return f"{int(self):,} {one if self == 1 else many}"


def text(key: str, language: str, /, **values: object) -> str:
    """A text in one language, its {names} filled in."""
    counted = {name: _Count(value) if type(value) is int else value for name, value in values.items()}
    return texts(language)[key].format(**counted)


def label(key: str) -> I18nData:
    """A text that the browser resolves, for whatever gradio itself shows."""
    if key not in texts("en"):
        raise KeyError(key)
    return I18nData(key)


def both(key: str, /, **values: object) -> str:
    """HTML with a text in both languages, its {names} filled in and escaped."""
    return spans(*(text(key, language, **values) for language in LANGUAGES))


def explained(key: str, why: str, /, **values: object) -> str:
    """A text in both languages that says what it means when it is pointed at. why: the key of what it means."""
    return "".join(
        f'<span class="t explained" lang="{code}" title="{html.escape(text(why, language))}">'
        f"{html.escape(text(key, language, **values))}</span>"
        for language, code in (("en", "en"), ("zh", "zh-CN"))
    )


def spans(en: str, zh: str, *, tag: str = "span") -> str:
    """HTML (or, with "tspan", SVG) with a text in both languages; the style sheet shows one."""
    en, zh = html.escape(en), html.escape(zh)
    return en if en == zh else f'<{tag} class="t" lang="en">{en}</{tag}><{tag} class="t" lang="zh-CN">{zh}</{tag}>'


def title(key: str) -> str:
    """A text as an attribute, which the style sheet cannot choose: both languages at once."""
    return html.escape(" / ".join(dict.fromkeys(text(key, language) for language in LANGUAGES)))


def sentence(message: UserError | Message) -> str:
    """HTML with an error or another message of the engines in both languages."""
    return spans(message.en, message.zh)


def knows(key: str) -> bool:
    """Whether a text has this key."""
    return key in texts("en")


def translations() -> gr.I18n:
    """The texts as gradio expects them; its front end looks for Chinese under "zh-CN" only."""
    return gr.I18n(**{"en": texts("en"), "zh-CN": texts("zh")})


def page_language(request: gr.Request) -> str:
    """The language of the page: its cookie, else the browser's preference, else English."""
    chosen = request.cookies.get(COOKIE) or request.headers.get("accept-language") or "en"
    return "zh" if chosen.lower().startswith("zh") else "en"
