"""Answers of the built-in model with something hidden from it, side by side, as HTML: pure functions."""

from __future__ import annotations

import html
from collections.abc import Sequence

from engines import AskRequest, AskResult, HostInfo, Result
from engines.lab.masked_translation import MaskedRequest, MaskedResult, Part
from studio import model_routing, theme, views
from studio.i18n import both

OWED = 0.5
"""A word that would be less than half as likely without the photo is marked as seen in it."""
SIDES = ("alone", "together")
GAP = "___"


def translations(found: Sequence[Result | None], info: HostInfo, is_over: bool) -> str:
    """A translation by the text alone, and with the photo, in which what was seen is marked."""
    asked = next((each.request for each in found if each is not None), None)
    head = ""
    if isinstance(asked, MaskedRequest):
        head = f'<p class="question">{html.escape(asked.shown.replace(asked.blank, GAP))}</p>'
    sides = []
    for name, result in zip(SIDES, found, strict=True):
        said = _written(result) if isinstance(result, MaskedResult) and result.text else ""
        title = theme.mark("text" if name == "alone" else "all") + both(f"ui.masking.{name}")
        sides.append(_side(title, said, result, is_over))
    body = f'{head}<div class="sides">{"".join(sides)}</div>'
    together = found[-1]
    if is_over and isinstance(together, MaskedResult) and together.parts:
        key = "owed" if any(part.share >= OWED for part in together.parts) else "unmoved"
        body += f'<p class="quiet">{both(f"ui.masking.{key}")}</p>'
    return _sheet(body, found, info, is_over)


def answers(found: Sequence[Result | None], info: HostInfo, is_over: bool) -> str:
    """An answer with all there is, without the picture and without the sound, each with how sure it is."""
    asked = next((each.request for each in found if each is not None), None)
    head = f'<p class="question">{html.escape(asked.question)}</p>' if isinstance(asked, AskRequest) else ""
    titles = (
        theme.mark("all") + both("ui.muting.all"),
        theme.mark("sound") + both("ui.muting.picture"),
        theme.mark("picture") + both("ui.muting.sound"),
    )
    sides = []
    for title, result in zip(titles, found, strict=True):
        said = ""
        if isinstance(result, AskResult) and result.text:
            said = f'<p class="sentence small" data-copied>{html.escape(result.text)}</p>{_sure(result.confidence)}'
        sides.append(_side(title, said, result, is_over))
    return _sheet(f'{head}<div class="sides sides-3">{"".join(sides)}</div>', found, info, is_over)


def example() -> str:
    """What a translation with a photo looks like."""
    parts = (Part("Ein"), Part(" Hund", 0.9), Part(" läuft durch das Gras."))
    return f'<div class="example" aria-hidden="true"><p class="sentence small">{_marked(parts)}</p></div>'


def _written(result: MaskedResult) -> str:
    words = _marked(result.parts) if result.parts else html.escape(result.text)
    return f'<p class="sentence small" lang="{result.request.target}" data-copied>{words}</p>'


def _marked(parts: Sequence[Part]) -> str:
    """Words, those owed to the photo in its colour and underlined."""
    found = []
    for part in parts:
        word = part.text.lstrip()
        gap = part.text[: len(part.text) - len(word)]
        if part.share >= OWED:
            found.append(f'{gap}<mark class="owed" title="{100 * part.share:.0f} %">{html.escape(word)}</mark>')
        else:
            found.append(html.escape(part.text))
    return "".join(found).strip()


def _sure(confidence: float) -> str:
    if confidence <= 0.0:
        return ""
    percent = f"{100 * confidence:.0f}"
    return (
        f'<div class="share"><div class="meter"><i style="width:{percent}%"></i></div>'
        f'<span class="quiet number">{both("ui.video.sure", percent=percent)}</span></div>'
    )


def _side(title: str, said: str, result: Result | None, is_over: bool) -> str:
    if not said and is_over:
        end = "cancelled" if result is None else result.end
        why = {"cancelled": "ui.stopped.early", "empty": "ui.silent"}.get(end or "", "ui.caption.nothing")
        said = f'<p class="nothing">{both(why)}</p>'
    elif not said:
        said = views.stage(result.progress) if result is not None else f'<p class="quiet">{both("ui.compare.next")}</p>'
    return f'<article class="side"><h3>{title}</h3><div class="side-said">{said}</div></article>'


def _sheet(body: str, found: Sequence[Result | None], info: HostInfo, is_over: bool) -> str:
    is_stopped = any(each is None or each.end == "cancelled" for each in found)
    if not is_over:
        return views.result_card("busy", body)
    seconds = sum(each.seconds for each in found if each is not None)
    stopped = f'<span class="stopped">{both("ui.stopped")}</span>' if is_stopped else ""
    facts = f"{seconds:.1f} s · {model_routing.where(info)} · {html.escape(info.name)}"
    copy = f'<button type="button" class="tool" data-copy>{both("ui.copy")}</button>'
    foot = f'<span class="facts number">{facts}</span>{stopped}<span class="tools">{copy}</span>'
    return views.result_card("stopped" if is_stopped else "done", body, foot)
