"""The look of the page: gradio's theme variables, our style sheet, the marks of the modalities, the head of the page.

Colours and shapes follow the Okabe-Ito set (Okabe and Ito 2008, safe for colour-blind people): picture a blue circle,
sound a vermilion square, text a green triangle, all together a purple diamond; never colour alone. System fonts only.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import gradio as gr

from engines.paths import ASSETS
from studio import i18n

SHAPES = {
    "picture": '<circle cx="8" cy="8" r="6"/>',
    "sound": '<rect x="2.5" y="2.5" width="11" height="11" rx="1"/>',
    "text": '<path d="M8 1.8 14.6 13.6H1.4Z"/>',
    "all": '<path d="M8 .8 15.2 8 8 15.2.8 8Z"/>',
}
ICON = (
    '<link rel="icon" href="data:image/svg+xml,%3Csvg xmlns=%22http://www.w3.org/2000/svg%22 viewBox=%220 0 16 16%22%3E'
    "%3Ccircle cx=%224%22 cy=%224%22 r=%223%22 fill=%22%230072B2%22/%3E"
    "%3Cpath d=%22M9.5 1.5h5v5h-5z%22 fill=%22%23D55E00%22/%3E%3Cpath d=%22M4 9l3.2 6H.8z%22 fill=%22%23009E73%22/%3E"
    '%3Cpath d=%22M12 8.5l3.3 3.5-3.3 3.5L8.7 12z%22 fill=%22%237A3E9D%22/%3E%3C/svg%3E">'
)
MODALITY_OF_KIND = {"photo": "picture", "sound": "sound", "speech": "sound", "text": "text", "clip": "all"}

MOON = (
    '<svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true"><path fill="currentColor" '
    'd="M8 1a7 7 0 1 0 0 14A7 7 0 0 0 8 1Zm0 1.6v10.8A5.4 5.4 0 0 1 8 2.6Z"/></svg>'
)

COLOURS = {
    ("#FAF8F4", "#14171C"): "body_background_fill",
    ("#1F2430", "#E8E6E1"): "body_text_color button_secondary_text_color",
    ("#5B6270", "#A0A7B4"): "body_text_color_subdued block_label_text_color block_title_text_color",
    ("#FFFFFF", "#1C2127"): "background_fill_primary block_background_fill button_secondary_background_fill",
    ("#F4F1EA", "#14171C"): "background_fill_secondary",
    ("#E4DFD6", "#2C333C"): "block_border_color border_color_primary",
    ("#0F766E", "#2DD4BF"): "border_color_accent link_text_color input_border_color_focus slider_color "
    "button_primary_background_fill checkbox_background_color_selected",
    ("#E3F0EC", "#1E3A38"): "color_accent_soft",
    ("#FFFFFF", "#14171C"): "input_background_fill",
    ("#D8D2C6", "#3A424D"): "input_border_color button_secondary_border_color",
    ("#6B7280", "#8B93A1"): "input_placeholder_color",
    ("#0B5F59", "#5EEAD4"): "button_primary_background_fill_hover",
    ("#FFFFFF", "#0D2A27"): "button_primary_text_color",
}
"""A colour in light and in dark, and the variables of gradio that have it."""


def mark(modality: str) -> str:
    """The shape of a modality ("picture", "sound", "text", "all") in its colour."""
    return f'<svg class="mark mark-{modality}" viewBox="0 0 16 16" aria-hidden="true">{SHAPES[modality]}</svg>'


def kind_mark(kind: str) -> str:
    """The shape for a kind of media."""
    return mark(MODALITY_OF_KIND[kind])


def brand() -> str:
    """The four shapes and the name."""
    return f'<span class="brand"><span class="brand-marks">{"".join(map(mark, SHAPES))}</span>Fusion Studio</span>'


def theme() -> gr.themes.Base:
    """Gradio's variables in our colours; the rest is in `assets/style.css`."""
    sans = ["system-ui", "-apple-system", "Segoe UI", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC"]
    mono = ["ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace"]
    looks = {"color_accent": "#0F766E", "block_shadow": "none", "block_shadow_dark": "none"}
    for (light, dark), names in COLOURS.items():
        looks |= dict.fromkeys(names.split(), light) | {f"{name}_dark": dark for name in names.split()}
    return gr.themes.Base(font=[*sans, "sans-serif"], font_mono=mono, radius_size="sm", spacing_size="md").set(**looks)


@cache
def style() -> str:
    """Our style sheet, after the words that only a style sheet can put where gradio shows its own."""
    words = []
    for language in i18n.LANGUAGES:
        said = {name: json.dumps(i18n.text(f"ui.drop.{name}", language), ensure_ascii=False) for name in DROPS}
        drops = ";".join(f"--drop-{name}:{word}" for name, word in said.items())
        words.append(f":root[data-lang={language}]{{{drops}}}")
    return "\n".join(words) + "\n" + (ASSETS / "style.css").read_text(encoding="utf-8")


SAID = ("copied", "unsaved", "map.name", "notify.ended", "notify.failed")
"""Texts that only the scripts of the page say."""
SCRIPTS = ("studio", "notify", "addresses", "keyboard", "transcript", "network", "slides", "map")
DROPS = ("photo", "sound", "clip", "several", "empty", "unplayable")
NAMES = {
    **{
        i18n.text(f"ui.gradio.drop.{kind}", language): f"ui.drop.{kind}"
        for kind in ("photo", "sound", "clip")
        for language in i18n.LANGUAGES
    },
    "Upload file": "ui.name.upload",
    "Record audio": "ui.name.record",
    "Capture from camera": "ui.name.camera",
    "Paste from clipboard": "ui.name.paste",
    "light / dark": "ui.name.light",
    "More tabs": "ui.name.more",
}
"""What a screen reader says in the words of gradio, which change with the language only when a tab is first opened, and
the key of our text."""


@cache
def early_script() -> str:
    """What has to stand before gradio's own in the head: the script that settles the language, and our icon."""
    tabs = [key for key in i18n.texts("en") if key.startswith("ui.tab.")]
    facts = {
        "tabs": {lang: [i18n.text(key, lang) for key in tabs] for lang in i18n.LANGUAGES},
        "names": {name: {lang: i18n.text(key, lang) for lang in i18n.LANGUAGES} for name, key in NAMES.items()},
        "texts": {lang: {name: i18n.text(f"ui.{name}", lang) for name in SAID} for lang in i18n.LANGUAGES},
        "core": _core(),
    }
    early = (ASSETS / "early.js").read_text(encoding="utf-8")
    return f"{ICON}<script>{early.replace('COOKIE', i18n.COOKIE).replace('FACTS', json.dumps(facts))}</script>"


@cache
def head() -> str:
    """What gradio puts into the head: our behaviour of the page."""
    return "".join(f"<script>{(ASSETS / f'{name}.js').read_text(encoding='utf-8')}</script>" for name in SCRIPTS)


def _core() -> str:
    """Gradio's own module that can change the language of a running page; "" when this gradio has none.

    It is what gradio's settings panel calls. Without it the page is reloaded in the other language.
    """
    assets = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
    for module in sorted(assets.glob("core-*.js")):
        if "as changeLocale" in module.read_text(encoding="utf-8"):
            return f"./assets/{module.name}"
    return ""


def plain_page(body: str) -> str:
    """A page without gradio: the login of a shared studio, and the page on its API."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Fusion Studio</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'{early_script()}<style>{style()}</style></head><body class="plain">{body}</body></html>'
    )
