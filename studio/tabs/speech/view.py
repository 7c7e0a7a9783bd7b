"""A transcript as HTML: a player, one row per line, and the tools to correct it. `assets/transcript.js` moves it."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from engines import HostInfo, Pause, Segment, TranscribeResult, Word
from studio import uploads, views
from studio.i18n import both, title
from studio.registry import DownloadRegistry

N_WATCHED = 30
"""Lines that are shown while a transcript is written: the newest. More than a person can watch is not sent."""
PAUSE_S = 5.0
"""A longer stretch without speech has a row of its own."""
DOUBTS = ((0.4, 2), (0.7, 1))
"""Words below these confidences are shaded: much, a little."""
NOTHING = {
    "other": "ui.speech.nothing", "music": "ui.speech.nothing.music", "silence": "ui.speech.nothing.silence",
}  # fmt: skip
SAVES = ("srt", "vtt", "txt", "json", "zip")


def transcript(result: TranscribeResult, downloads: DownloadRegistry, info: HostInfo) -> str:
    """What was said: one row per line; a click on a time or a word plays from there. While it is written it is its
    newest lines as plain text, below the player, which plays on when the whole of it takes their place."""
    segments = result.segments
    if not result.done:
        growing = f"{_player(result, downloads)}{views.stage(result.progress)}{newest(segments)}"
        return views.card_of(result, f'<div class="transcript">{growing}</div>', "")
    if not segments:
        why = "ui.stopped.early" if result.end == "cancelled" else NOTHING[heard(result.pauses)]
        return views.card_of(result, views.nothing(why), views.foot(result, downloads, info))
    name = downloads.add_result(result)
    texts = _texts(name) if any(segment.translation for segment in segments) else ""
    sends = () if is_gone(result) else ("video", "search")
    below = views.foot(result, downloads, info, saves=SAVES, sends=sends, more=texts, name=name)
    return views.card_of(result, body(name, result, downloads), below)


def body(name: str, result: TranscribeResult, downloads: DownloadRegistry) -> str:
    """A finished transcript registered under an id, with its player and the tools to correct it."""
    language = f'<p class="over">{both("ui.language." + result.language)}</p>' if result.language else ""
    lines = f"{language}{_tools()}{rows(result.segments, result.pauses, result.duration_s)}"
    return f'<div class="transcript" data-transcript="{name}">{_player(result, downloads)}{lines}</div>'


def is_gone(result: TranscribeResult) -> bool:
    """Whether the file that was transcribed is no longer there."""
    media = getattr(result.request, "media", None)
    return isinstance(media, Path) and not media.is_file()


def _player(result: TranscribeResult, downloads: DownloadRegistry) -> str:
    """The recording, at the same address in every card, so that it plays on from one to the next."""
    media = getattr(result.request, "media", None)
    if not isinstance(media, Path):
        return ""
    if is_gone(result):
        return f'<p class="quiet gone">{both("ui.speech.gone")}</p>'
    uploads.touch([media])  # it is in use for as long as the transcript is written
    source = f"./studio/file/{downloads.same_file(media)}"
    return f'<audio class="player" controls preload="metadata" src="{source}"></audio>'


def newest(segments: Sequence[Segment]) -> str:
    """The last lines of a transcript that is being written, and how many come before them."""
    if not segments:
        return ""
    n_before = max(0, len(segments) - N_WATCHED)
    before = f'<p class="quiet number">{both("ui.speech.before", n=n_before)}</p>' if n_before else ""
    shown = segments[n_before:]
    lines = "".join(map(_plain_row, shown, _clocks(shown)))
    return f'{before}<div class="segments newest" tabindex="0"><div>{lines}</div></div>'


def _plain_row(segment: Segment, at: str) -> str:
    second = f'<p class="translated" lang="">{html.escape(segment.translation)}</p>' if segment.translation else ""
    text = f'<p class="line-text">{html.escape(segment.text)}</p>{second}'
    return f'<div class="segment"><span class="time number">{at}</span><div>{text}</div></div>'


def rows(segments: Sequence[Segment], pauses: Sequence[Pause] = (), duration_s: float = 0.0) -> str:
    """The lines, and between them and after the last the stretches in which nobody speaks, with what is heard there."""
    return f'<div class="segments" tabindex="0">{"".join(_rows(segments, pauses, duration_s))}</div>'


def _rows(segments: Sequence[Segment], pauses: Sequence[Pause], duration_s: float) -> list[str]:
    shown = []
    at_s = 0.0
    for n, (segment, at) in enumerate(zip(segments, _clocks(segments), strict=True)):
        shown += [_pause(at_s, segment.start_s, pauses), _row(n, segment, at)]
        at_s = segment.end_s
    shown.append(_pause(at_s, duration_s, pauses))
    return [row for row in shown if row]


def changed_rows(before: TranscribeResult, now: TranscribeResult, n_shown: object) -> dict[str, object]:
    """What a page that shows `n_shown` rows draws anew after a correction: from which row on, how many go, and the HTML
    in their place. n_gone: None for all of them, where the page shows other rows than those from before."""
    old, new = (_rows(result.segments, result.pauses, result.duration_s) for result in (before, now))
    if n_shown != len(old):
        return {"start": 0, "n_gone": None, "html": "".join(new)}
    most = min(len(old), len(new))
    start = next((n for n in range(most) if old[n] != new[n]), most)
    n_same = next((n for n in range(most - start) if old[-1 - n] != new[-1 - n]), most - start)
    return {"start": start, "n_gone": len(old) - start - n_same, "html": "".join(new[start : len(new) - n_same])}


def _pause(start_s: float, end_s: float, pauses: Sequence[Pause]) -> str:
    if end_s - start_s < PAUSE_S:
        return ""
    inside = [
        replace(pause, start_s=max(pause.start_s, start_s), end_s=min(pause.end_s, end_s))
        for pause in pauses
        if pause.start_s < end_s and pause.end_s > start_s
    ]
    said = both(f"ui.speech.pause.{heard(inside)}", seconds=f"{end_s - start_s:.0f}")
    return f'<p class="pause quiet number">{said}</p>'


def heard(pauses: Sequence[Pause]) -> str:
    """What is heard in stretches without speech: music where that is at least half of them, silence where there is
    nothing else to speak of."""
    seconds = {"silence": 0.0, "music": 0.0, "other": 0.0}
    for pause in pauses:
        seconds[pause.heard] += pause.end_s - pause.start_s
    total = sum(seconds.values())
    if total and seconds["music"] >= total / 2:
        return "music"
    return "silence" if total and seconds["silence"] >= 0.9 * total else "other"


def _clocks(segments: Sequence[Segment]) -> list[str]:
    """When each line begins; to the tenth where two lines in a row would read the same."""
    clocks = [views.clock(segment.start_s) for segment in segments]
    close = {n for n, (one, other) in enumerate(pairwise(clocks)) if one == other}
    return [
        f"{at}.{int(segment.start_s * 10) % 10}" if {n, n - 1} & close else at
        for n, (at, segment) in enumerate(zip(clocks, segments, strict=True))
    ]


def _row(n: int, segment: Segment, at: str) -> str:
    words = html.escape(segment.text)
    if segment.words:
        gap = "" if any("\u4e00" <= sign <= "\u9fff" for sign in segment.text) else " "
        words = gap.join(map(_word, segment.words))
    second = f'<p class="translated" lang="">{html.escape(segment.translation)}</p>' if segment.translation else ""
    doubted = ""
    if segment.translation and segment.translation_unsure:
        sure = views.percent(segment.translation_confidence or 0.0)
        doubted = f'<p class="doubted number">{both("ui.speech.doubted", percent=sure)}</p>'
    times = f'data-start="{segment.start_s:.2f}" data-end="{segment.end_s:.2f}"'
    of = f'<span class="unseen"> {at}</span>'  # which line, for a screen reader
    tools = "".join(
        views.tool(sign + of, edit="shift", seconds=seconds) for seconds, sign in ((-0.1, "−0.1 s"), (0.1, "+0.1 s"))
    )
    tools += views.tool(both("ui.speech.split") + of, edit="split")
    tools += views.tool(both("ui.speech.join") + of, edit="join") if n else ""
    return (
        f'<div class="segment" {times}><button type="button" class="time number" '
        f'data-seek="{segment.start_s:.2f}">{at}</button>'
        f'<div data-copied><p class="line-text">{words}</p>{second}</div>{doubted}'
        f'<div class="line-tools">{tools}</div></div>'
    )


def _word(word: Word) -> str:
    sure = word.confidence
    doubt = next((f" doubt-{level}" for below, level in DOUBTS if sure is not None and sure < below), "")
    tip = f"{word.start_s:.2f}–{word.end_s:.2f} s" + ("" if sure is None else f" · {views.percent(sure)}")
    return (
        f'<button type="button" class="word{doubt}" tabindex="-1" data-seek="{word.start_s:.2f}" title="{tip}">'
        f"{html.escape(word.text)}</button>"
    )


def _tools() -> str:
    """Edit, and while lines are corrected: find and replace, move all times, take back."""
    moves = "".join(
        views.tool(sign, edit="shift", seconds=seconds, all="") for seconds, sign in ((-0.5, "−0.5 s"), (0.5, "+0.5 s"))
    )
    return (
        '<div class="transcript-tools">'
        f'<button type="button" class="tool" data-correct aria-pressed="false">{both("ui.speech.correct")}</button>'
        f'<span class="correcting"><label>{both("ui.speech.find")} <input type="text" data-find></label>'
        f'<label>{both("ui.speech.with")} <input type="text" data-with></label>'
        f"{views.tool(both('ui.speech.replace'), edit='replace')}"
        f'<span class="quiet">{both("ui.speech.shift")}</span>{moves}'
        f"{views.tool(both('ui.speech.undo'), edit='undo')}</span>"
        f'<p class="correcting quiet">{both("ui.speech.correcting")}</p>'
        '<p class="problem" role="alert" hidden></p></div>'
    )


def _texts(name: str) -> str:
    """Which texts saved files hold, of a transcript that is translated. name: of the transcript."""
    choices = "".join(
        f'<label class="tool"><input type="radio" name="texts-{name}" data-texts="{which}"'
        f"{' checked' if which == 'both' else ''}>{both(f'ui.speech.texts.{which}')}</label>"
        for which in ("both", "original", "translation")
    )
    return f'<span class="texts" role="radiogroup" aria-label="{title("ui.speech.texts")}">{choices}</span>'
