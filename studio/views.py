"""Results as HTML: pure functions from what a host said to what the page shows.

Every view is a result: what came out, and under it a status line with ways to take it along. Model text, file names and
questions are escaped; paths never appear, only ids from the downloads.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from pathlib import Path

from engines import (
    AskRequest,
    AskResult,
    CaptionResult,
    Hit,
    HostInfo,
    IndexResult,
    Progress,
    Result,
    SearchResult,
    Segment,
    TranscribeResult,
    TranslateResult,
    UserError,
)
from studio import model_routing, theme
from studio.i18n import both, knows, spans
from studio.registry import DownloadRegistry

FITS = 0.5
"""Below this a hit does not fit well: `Hit.fit` is calibrated so."""
ENDINGS: dict[str | None, str] = {"cancelled": "ui.stopped", "cut": "ui.cut"}
"""What the status line says of a result that is not whole."""
RESTS = 0.05
"""An answer that loses less than this part of its probability without a sense does not rest on that sense alone."""


def clock(seconds: float) -> str:
    """A time in a recording: 0:07, 12:03, 1:02:03."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


# --- the result -----------------------------------------------------------------------------------------------------


def result_card(state: str, body: str, foot: str = "") -> str:
    """The paper a result stands on. state: "empty", "busy", "done", "stopped" or "error"."""
    below = f'<footer class="result-foot">{foot}</footer>' if foot else ""
    busy = ' aria-busy="true"' if state == "busy" else ""
    role = "alert" if state == "error" else "status"
    return (
        f'<section class="result-card is-{state}"{busy}><div class="result-body" role="{role}">{body}</div>{below}'
        "</section>"
    )


def empty(tab: str, example: str = "") -> str:
    """What a tab shows before anything was asked: what to do, and what comes out."""
    return result_card("empty", f'<p class="hint">{both(f"ui.{tab}.empty")}</p>{example}')


def waiting() -> str:
    """The first sign of life, before the host has said anything."""
    return result_card("busy", stage(None))


def problem(error: UserError) -> str:
    """One sentence that says what to do next."""
    return result_card("error", f'<p class="problem">{spans(error.en, error.zh)}</p>')


def stage(progress: Progress | None) -> str:
    """What is being done now, and how far it is."""
    if progress is None:
        return f'<p class="stage"><i class="pulse"></i>{both("ui.stage.thinking")}</p>'
    key = f"ui.stage.{progress.stage.split()[0] if progress.stage else 'thinking'}"
    what = both(key) if knows(key) else html.escape(progress.stage)
    if progress.total <= 0:
        return f'<p class="stage"><i class="pulse"></i>{what}</p>'
    show: Callable[[float], str] = {"s": clock, "bytes": _megabytes}.get(progress.unit, lambda count: f"{count:.0f}")
    share = min(1.0, progress.done / progress.total)
    far = both("ui.of", done=show(progress.done), total=show(progress.total))
    return (
        f'<p class="stage"><i class="pulse"></i>{what} <span class="number">{far}</span></p>'
        f'<div class="bar"><i style="width:{100 * share:.1f}%"></i></div>'
    )


def _megabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e6:.0f} MB"


def foot(
    result: Result, downloads: DownloadRegistry, info: HostInfo, *, saves: Sequence[str] = (), sends: Sequence[str] = ()
) -> str:
    """The status line: seconds, device, host; copy, files and the way to other tabs."""
    facts = f"{result.seconds:.1f} s · {model_routing.where(info)} · {html.escape(result.host or info.name)}"
    parts = [f'<span class="facts number">{facts}</span>']
    if result.end in ENDINGS:
        parts.append(f'<span class="stopped">{both(ENDINGS[result.end])}</span>')
    parts += [f'<span class="facts">{spans(note.en, note.zh)}</span>' for note in result.notes]
    tools = []
    if saves:
        name = downloads.put_result(result)
        if "txt" in saves:
            tools.append(f'<button type="button" class="tool" data-copy>{both("ui.copy")}</button>')
        tools += [f'<a class="tool" href="./studio/save/{name}.{kind}" download>{kind.upper()}</a>' for kind in saves]
    media = getattr(result.request, "media", None)
    if isinstance(media, Path) and sends:
        file = downloads.put_file(media)
        tools += [send(file, tab) for tab in sends]
    return "".join(parts) + f'<span class="tools">{"".join(tools)}</span>'


def send(file: str, tab: str) -> str:
    """A button that takes a file from the downloads to another tab."""
    return f'<button type="button" class="tool" data-send="{tab}" data-file="{file}">{both(f"ui.send.{tab}")}</button>'


def _finished(result: Result, body: str, below: str) -> str:
    state = "busy" if not result.done else "stopped" if result.end == "cancelled" else "done"
    return result_card(state, body, below if result.done else "")


def _nothing(key: str) -> str:
    return f'<p class="nothing">{both(key)}</p>'


# --- caption, translation --------------------------------------------------------------------------------------------


def caption(result: CaptionResult, downloads: DownloadRegistry, info: HostInfo) -> str:
    """A sentence about a photo, a clip or a sound, as it is written."""
    language = getattr(result.request, "language", "en")
    written = f'<p class="sentence" lang="{language}" data-copied>{html.escape(result.text)}</p>' if result.text else ""
    if not result.done:
        return _finished(result, written or stage(result.progress), "")
    why = {"cancelled": "ui.stopped.early", "empty": "ui.silent"}.get(result.end or "", "ui.caption.nothing")
    body = (written or _nothing(why)) + judgement(result, language)
    return _finished(result, body, foot(result, downloads, info, saves=("txt", "json"), sends=("video", "search")))


def judgement(result: CaptionResult | AskResult, language: str) -> str:
    """The names that were seen, how sure the result is, and in doubt the best guesses."""
    lines = []
    if result.unsure:
        gap = "、" if language == "zh" else ", "
        guesses = gap.join(result.guesses)
        lines.append(both("ui.unsure.guesses", guesses=guesses) if guesses else both("ui.unsure"))
    if result.names:
        names = ", ".join(f"{name} {100 * probability:.0f} %" for name, probability in result.names)
        lines.append(theme.mark("text") + " " + both("ui.names", names=names))
    if result.confidence:
        lines.append(both("ui.video.sure", percent=f"{100 * result.confidence:.0f}"))
    return "".join(f'<p class="quiet number">{line}</p>' for line in lines)


def translation(result: TranslateResult, downloads: DownloadRegistry, info: HostInfo) -> str:
    """A text in the other language, as it is written."""
    written = f'<p class="sentence" data-copied>{html.escape(result.text)}</p>' if result.text else ""
    why = "ui.stopped.early" if result.end == "cancelled" else "ui.caption.nothing"
    body = written or (_nothing(why) if result.done else stage(result.progress))
    return _finished(result, body, foot(result, downloads, info, saves=("txt", "json")) if result.done else "")


# --- transcript ------------------------------------------------------------------------------------------------------


def transcript(result: TranscribeResult, downloads: DownloadRegistry, info: HostInfo) -> str:
    """What was said: one row per segment, its words to the tenth of a second on a click."""
    rows = "".join(_segment(segment) for segment in result.segments)
    table = f'<div class="segments">{rows}</div>' if rows else ""
    if not result.done:
        return _finished(result, stage(result.progress) + table, "")
    if not rows:
        return _finished(
            result,
            _nothing("ui.stopped.early" if result.end == "cancelled" else "ui.speech.nothing"),
            foot(result, downloads, info),
        )
    language = f'<p class="over">{both("ui.language." + result.language)}</p>' if result.language else ""
    media = getattr(result.request, "media", None)
    player = ""
    if isinstance(media, Path):
        source = f"./studio/file/{downloads.put_file(media)}"
        player = f'<audio class="player" controls preload="metadata" src="{source}"></audio>'
    saves = ("srt", "vtt", "txt", "json")
    return _finished(
        result, language + player + table, foot(result, downloads, info, saves=saves, sends=("video", "search"))
    )


def _segment(segment: Segment) -> str:
    words = html.escape(segment.text)
    if segment.words:
        gap = "" if any("\u4e00" <= sign <= "\u9fff" for sign in segment.text) else " "
        words = gap.join(
            f'<button type="button" class="word" data-seek="{word.start_s:.2f}" title="{word.start_s:.2f}'
            f'–{word.end_s:.2f} s">{html.escape(word.text)}</button>'
            for word in segment.words
        )
    second = f'<p class="translated">{html.escape(segment.translation)}</p>' if segment.translation else ""
    return (
        f'<div class="segment"><button type="button" class="time number" data-seek="{segment.start_s:.2f}">'
        f"{clock(segment.start_s)}</button><div data-copied><p>{words}</p>{second}</div></div>"
    )


# --- talk about a clip -----------------------------------------------------------------------------------------------


def talk(turns: Sequence[AskResult], downloads: DownloadRegistry, info: HostInfo) -> str:
    """Questions and answers about one clip, the latest last."""
    latest = turns[-1]
    body = "".join(_turn(turn) for turn in turns)
    below = foot(latest, downloads, info, saves=("txt", "json"), sends=("speech", "caption")) if latest.done else ""
    return _finished(latest, f'<div class="talk">{body}</div>', below)


def _turn(turn: AskResult) -> str:
    question = html.escape(getattr(turn.request, "question", ""))
    hide = sorted(getattr(turn.request, "hide", frozenset()))
    hidden = "".join(
        f'<span class="chip">{theme.mark(sense)}{both(f"ui.video.hidden.{sense}")}</span>' for sense in hide
    )
    if turn.end == "empty":
        return f'<article class="turn"><p class="question">{question}{hidden}</p>{_nothing("ui.silent")}</article>'
    if not turn.text:
        why = "ui.stopped.early" if turn.end == "cancelled" else "ui.caption.nothing"
        said = _nothing(why) if turn.done else stage(turn.progress)
    else:
        said = f'<p class="sentence" data-copied>{html.escape(turn.text)}</p>'
    return (
        f'<article class="turn"><p class="question">{question}{hidden}</p>'
        f"{said}{_senses(turn) if turn.done else ''}</article>"
    )


def _senses(turn: AskResult) -> str:
    """What an answer rests on, in bars; in words where there was no sound, and where no sense stands out."""
    silent = f'<p class="quiet">{theme.mark("sound")} {both("ui.video.silent")}</p>' if turn.silent else ""
    moments = "".join(
        f'<button type="button" class="chip time number" data-seek="{at_s:.2f}">{clock(at_s)}</button>'
        for at_s in turn.moments_s
    )
    judged = judgement(turn, turn.request.language if isinstance(turn.request, AskRequest) else "en")
    look = f'<p class="moments"><span class="quiet">{both("ui.video.moments")}</span>{moments}</p>' if moments else ""
    return f'<div class="why">{_rests(turn)}{silent}{look}{judged}</div>'


def _rests(turn: AskResult) -> str:
    if not turn.senses:
        return ""
    if all(share < RESTS for _, share in turn.senses):
        which = turn.senses[0][0] if len(turn.senses) == 1 else "either"
        return f'<p class="quiet">{both(f"ui.video.spare.{which}")}</p>'
    shares = "".join(
        f'<div class="share"><span>{_sense_mark(sense)}{both(f"ui.sense.{sense}")}</span>'
        f'<div class="meter meter-{sense}"><i style="width:{100 * min(1.0, max(0.0, share)):.0f}%"></i></div>'
        f'<span class="number">{100 * share:.0f} %</span></div>'
        for sense, share in turn.senses
    )
    return f'<div class="shares"><p class="over">{both("ui.video.senses")}</p>{shares}</div>'


def _sense_mark(sense: str) -> str:
    """Names of things are text, and carry its mark."""
    return theme.mark("text" if sense == "names" else sense)


# --- search ----------------------------------------------------------------------------------------------------------


def hits(result: SearchResult, downloads: DownloadRegistry, info: HostInfo) -> str:
    """What fits best, as cards; a plain word when nothing fits well."""
    if not result.done:
        return _finished(result, stage(result.progress), "")
    if not result.hits:
        return _finished(result, _nothing("ui.search.nothing"), foot(result, downloads, info))
    fitting = any(hit.fit >= FITS for hit in result.hits)
    warning = "" if fitting else f'<p class="warning">{both("ui.search.nofit")}</p>'
    cards = "".join(_card(hit, downloads) for hit in result.hits)
    return _finished(
        result, f'{warning}<div class="cards">{cards}</div>', foot(result, downloads, info, saves=("json", "csv"))
    )


def _card(hit: Hit, downloads: DownloadRegistry) -> str:
    file = downloads.put_file(hit.path)
    name = html.escape(hit.path.name)
    span = f'<span class="number">{clock(hit.start_s)}–{clock(hit.end_s)}</span>' if hit.end_s > hit.start_s else ""
    sends = {"photo": ("caption", "video"), "clip": ("video", "speech"), "sound": ("video",), "speech": ("speech",)}
    tools = "".join(send(file, tab) for tab in sends.get(hit.kind, ()))
    quote = f'<p class="quote">{html.escape(hit.text)}</p>' if hit.text else ""
    title = f'{theme.kind_mark(hit.kind)}<span class="name" title="{name}">{name}</span>{span}'
    percent = f"{100 * hit.fit:.0f}"
    fit = (
        f'<div class="share"><span class="quiet">{both("ui.kind." + hit.kind)}</span><div class="meter">'
        f'<i style="width:{percent}%"></i></div><span class="number" title="{hit.score:.3f}">{percent} %</span></div>'
    )
    return (
        f'<article class="card{"" if hit.fit >= FITS else " is-weak"}"><div class="card-media">{_media(hit, file)}'
        f'</div><div class="card-text"><p class="card-name">{title}</p>{quote}{fit}'
        f'<p class="card-tools">{tools}</p></div></article>'
    )


def _media(hit: Hit, file: str) -> str:
    source, thumb = f"./studio/file/{file}", f"./studio/thumb/{file}?at={hit.start_s:.2f}"
    stretch = f' data-end="{hit.end_s:.2f}"' if hit.end_s > hit.start_s else ""
    at = f"#t={hit.start_s:.2f}" if hit.start_s > 0 else ""
    if hit.kind == "photo":
        return f'<img src="{thumb}" alt="" loading="lazy">'
    if hit.kind == "clip":
        return f'<video src="{source}{at}" poster="{thumb}" controls preload="none" playsinline{stretch}></video>'
    if hit.kind == "text":
        return theme.mark("text")
    return (
        f'<img class="wave" src="{thumb}" alt="" loading="lazy">'
        f'<audio src="{source}{at}" controls preload="none"{stretch}></audio>'
    )


def index(result: IndexResult, downloads: DownloadRegistry, info: HostInfo) -> str:
    """What a collection holds now, and what could not be read."""
    if not result.done:
        return _finished(result, stage(result.progress), "")
    counts = both(
        "ui.search.indexed", rows=result.n_rows, added=result.n_added, same=result.n_unchanged, gone=result.n_removed
    )
    failed = "".join(
        f"<li><b>{html.escape(name)}</b> {html.escape(sentence)}</li>" for name, sentence in result.failures[:100]
    )
    listed = (
        f'<details class="failures"><summary>{both("ui.search.failures", n=len(result.failures))}</summary>'
        f"<ul>{failed}</ul></details>"
        if failed
        else ""
    )
    names = html.escape(", ".join(result.passed))
    passed = (
        f'<details class="failures"><summary>{both("ui.search.passed", n=result.n_passed)}</summary>'
        f"<p>{names}</p></details>"
        if result.n_passed
        else ""
    )
    return _finished(result, f'<p class="nothing">{counts}</p>{listed}{passed}', foot(result, downloads, info))


# --- examples of what comes out, for the empty states -----------------------------------------------------------------


def example_sentence(key: str) -> str:
    """What a caption looks like."""
    return f'<div class="example" aria-hidden="true"><p class="sentence">{both(key)}</p></div>'


def example_segments() -> str:
    """What a transcript looks like."""
    rows = "".join(
        f'<div class="segment"><span class="time number">{clock(at_s)}</span>'
        f"<div><p>{both(f'ui.speech.example.{n}')}</p></div></div>"
        for n, at_s in ((1, 0), (2, 4), (3, 9))
    )
    return f'<div class="example" aria-hidden="true"><div class="segments">{rows}</div></div>'


def example_answer() -> str:
    """What an answer looks like, and which sense it rests on."""
    shares = "".join(
        f'<div class="share"><span>{theme.mark(sense)}{both(f"ui.sense.{sense}")}</span>'
        f'<div class="meter meter-{sense}"><i style="width:{share}%"></i></div></div>'
        for sense, share in (("picture", 18), ("sound", 82))
    )
    return (
        f'<div class="example" aria-hidden="true"><div class="talk"><article class="turn"><p class="question">'
        f'{both("ui.video.example.question")}</p><p class="sentence">{both("ui.video.example.answer")}</p>'
        f'<div class="why"><div class="shares">{shares}</div></div></article></div></div>'
    )


def example_cards() -> str:
    """What hits look like: one card for each kind."""
    cards = "".join(
        f'<article class="card"><div class="card-media">{theme.kind_mark(kind)}</div><div class="card-text">'
        f'<div class="share"><span class="quiet">{both("ui.kind." + kind)}</span>'
        f'<div class="meter"><i style="width:{fit}%"></i></div></div></div></article>'
        for kind, fit in (("photo", 92), ("sound", 78), ("clip", 61))
    )
    return f'<div class="example" aria-hidden="true"><div class="cards">{cards}</div></div>'
