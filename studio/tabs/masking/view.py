"""Results of the model with something hidden from it, side by side, as HTML: pure functions."""

from __future__ import annotations

import html
from collections.abc import Sequence

from engines import AskRequest, AskResult, HostInfo, Result
from engines.lab.masked_translation import MaskedRequest, MaskedResult, Part
from studio import theme, views
from studio.i18n import both, explained

FROM_PHOTO = 0.5
"""A word that would be less than half as likely without the photo is marked as coming from it."""
SIDES = ("alone", "together")
GAP = "___"


def translations(found: Sequence[Result | None], info: HostInfo, is_over: bool) -> str:
    """A translation of the text alone and one with the photo, in which words owed to the photo are marked."""
    request = next((each.request for each in found if each is not None), None)
    head = ""
    if isinstance(request, MaskedRequest):
        head = f'<p class="question">{html.escape(request.shown.replace(request.blank, GAP))}</p>'
    sides = []
    for name, result in zip(SIDES, found, strict=True):
        words = _translation(result) if isinstance(result, MaskedResult) and result.text else ""
        title = theme.mark("text" if name == "alone" else "all") + both(f"ui.masking.{name}")
        sides.append(views.side(f"<h3>{title}</h3>", words, result, is_over=is_over))
    body = f'{head}<div class="sides">{"".join(sides)}</div>'
    together = found[-1]
    if is_over and isinstance(together, MaskedResult) and together.parts:
        key = "owed" if any(part.share >= FROM_PHOTO for part in together.parts) else "unmoved"
        body += f'<p class="quiet">{both(f"ui.masking.{key}")}</p>'
    return _card(body, found, info, is_over)


def answers(found: Sequence[Result | None], info: HostInfo, is_over: bool) -> str:
    """An answer from everything, one without the picture and one without the sound, each with its confidence."""
    request = next((each.request for each in found if each is not None), None)
    head = f'<p class="question">{html.escape(request.question)}</p>' if isinstance(request, AskRequest) else ""
    titles = (
        theme.mark("all") + both("ui.muting.all"),
        theme.mark("sound") + both("ui.muting.picture"),
        theme.mark("picture") + both("ui.muting.sound"),
    )
    sides = []
    for title, result in zip(titles, found, strict=True):
        words = ""
        if isinstance(result, AskResult) and result.text:
            words = f'<p class="sentence small" data-copied>{html.escape(result.text)}</p>{_sure(result.confidence)}'
        sides.append(views.side(f"<h3>{title}</h3>", words, result, is_over=is_over))
    return _card(f'{head}<div class="sides sides-3">{"".join(sides)}</div>', found, info, is_over)


def example() -> str:
    """What a translation with a photo looks like."""
    parts = (Part("Ein"), Part(" Hund", 0.9), Part(" läuft durch das Gras."))
    return views.example(f'<p class="sentence small">{_marked(parts)}</p>')


def _translation(result: MaskedResult) -> str:
    words = _marked(result.parts) if result.parts else html.escape(result.text)
    return f'<p class="sentence small" lang="{result.request.target}" data-copied>{words}</p>'


def _marked(parts: Sequence[Part]) -> str:
    """Words, those owed to the photo in its colour and underlined."""
    shown = []
    for part in parts:
        word = part.text.lstrip()
        gap = part.text[: len(part.text) - len(word)]
        if part.share >= FROM_PHOTO:
            title = views.percent(part.share)
            shown.append(f'{gap}<mark class="owed" title="{title}">{html.escape(word)}</mark>')
        else:
            shown.append(html.escape(part.text))
    return "".join(shown).strip()


def _sure(confidence: float) -> str:
    if confidence <= 0.0:
        return ""
    sure = explained("ui.video.sure", "ui.sure.why", percent=f"{100 * confidence:.0f}")
    return views.meter(confidence, "", f'<span class="quiet">{sure}</span>')


def _card(body: str, found: Sequence[Result | None], info: HostInfo, is_over: bool) -> str:
    if not is_over:
        return views.result_card("busy", body)
    is_stopped = any(each is None or each.end == "cancelled" for each in found)
    facts = views.facts(sum(each.seconds for each in found if each is not None), info)
    foot = views.status_line(facts, end="cancelled" if is_stopped else "finished", tools=views.copy_button())
    return views.result_card("stopped" if is_stopped else "done", body, foot)
