"""Results as HTML: pure functions from what a host returned to what the page shows.

Every result is a card: its content, and under it a status line with ways to copy, save and send it to another tab.
Model text, file names and questions are escaped; paths never appear, only ids of the `DownloadRegistry`.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path

from engines import (
    AskRequest,
    AskResult,
    CaptionResult,
    Hit,
    HostInfo,
    IndexResult,
    Message,
    Progress,
    Result,
    SearchRequest,
    SearchResult,
    TranscribeResult,
    TranslateResult,
    UserError,
    media,
    words,
)
from engines.media import ocr
from studio import i18n, model_routing, theme
from studio.i18n import both, explained, knows, sentence, spans
from studio.registry import DownloadRegistry
from studio.state import Sample
from studio.thumbnails import MOST_WAVE_S

N_CLOSEST = 3
"""Hits that are shown when none fits."""
FITS = 0.5
"""A hit below this does not fit well: `Hit.fit` is calibrated so."""
ENDINGS: dict[str | None, str] = {"cancelled": "ui.stopped", "cut": "ui.cut"}
"""What the status line says of an incomplete result."""
WRITTEN_LETTERS = 400
"""Of the words in a picture that are shown beside a caption or an answer."""
QUOTE_LETTERS = 160
"""Of the words of a hit that are shown, around those that were looked for."""
N_STRIP = 8
"""Frames of a clip in the strip that shows what an answer rests on."""
RESTS = 0.05
"""An answer that loses less than this share of its probability without a modality does not rest on that one alone."""
SENDS = {"photo": ("caption", "video"), "clip": ("video", "speech"), "sound": ("video",), "speech": ("speech",)}
"""Tabs that a hit of each kind can be sent to."""


# --- parts of a card -------------------------------------------------------------------------------------------------


def clock(seconds: float) -> str:
    """A time in a recording: 0:07, 12:03, 1:02:03."""
    whole = int(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def result_card(status: str, body: str, foot: str = "") -> str:
    """The frame around a result. status: "empty", "busy", "done", "stopped" or "error"."""
    below = f'<footer class="result-foot">{foot}</footer>' if foot else ""
    busy = ' aria-busy="true"' if status == "busy" else ""
    role = "alert" if status == "error" else "status"
    return (
        f'<section class="result-card is-{status}"{busy}><div class="result-body" role="{role}">{body}</div>{below}'
        "</section>"
    )


def with_mark(card: str, name: str, value: object) -> str:
    """A card with a mark for the page's script, [data-<name>]; the same card where the value is None."""
    frame = '<section class="result-card'
    mark = f'<section data-{name}="{html.escape(str(value))}" class="result-card'
    return card if value is None else card.replace(frame, mark, 1)


def empty(tab: str, example: str = "") -> str:
    """The card before the first run: what to do, and what the result will look like."""
    return result_card("empty", f'<p class="hint">{both(f"ui.{tab}.empty")}</p>{example}')


def waiting(progress: Progress | None = None) -> str:
    """The card of a run that has no result yet."""
    return result_card("busy", stage(progress))


def stopped(key: str = "ui.stopped.early") -> str:
    """The card of a run that was stopped before it had a result."""
    return result_card("stopped", nothing(key))


def problem(error: UserError) -> str:
    """The card of a run that failed: one sentence that says what to do next."""
    return result_card("error", f'<p class="problem">{sentence(error)}</p>')


def nothing(key: str) -> str:
    """A sentence in place of a result."""
    return f'<p class="nothing">{both(key)}</p>'


def stage(progress: Progress | None) -> str:
    """What is being done, and how far it is."""
    if progress is None:
        return f'<p class="stage"><i class="pulse"></i>{both("ui.stage.thinking")}</p>'
    key = f"ui.stage.{progress.stage.split()[0] if progress.stage else 'thinking'}"
    what = both(key) if knows(key) else html.escape(progress.stage)
    if progress.total <= 0:
        return f'<p class="stage"><i class="pulse"></i>{what}</p>'
    show = {"s": clock, "bytes": _megabytes}.get(progress.unit, _number)
    far = both("ui.of", done=show(progress.done), total=show(progress.total))
    return (
        f'<p class="stage"><i class="pulse"></i>{what} <span class="number">{far}</span></p>'
        f"{bar(progress.done / progress.total)}"
    )


def bar(share: float) -> str:
    """A progress bar. share: 0 to 1."""
    return f'<div class="bar"><i style="width:{100 * min(1.0, share):.1f}%"></i></div>'


def _number(count: float) -> str:
    return f"{count:.0f}"


def _megabytes(n_bytes: float) -> str:
    return f"{n_bytes / 1e6:.0f} MB"


def meter(share: float, label: str, value: str | None = None, *, kind: str = "", row: str = "share") -> str:
    """A row of label, bar and number. share: 0 to 1; label, value: HTML, value being the percentage unless given;
    kind: the modality whose colour it has."""
    width = 100 * min(1.0, max(0.0, share))
    colour = f" meter-{kind}" if kind else ""
    number = f'<span class="number">{percent(share) if value is None else value}</span>' if value != "" else ""
    return (
        f'<div class="{row}">{label}<div class="meter{colour}"><i style="width:{width:.1f}%"></i></div>{number}</div>'
    )


def percent(share: float) -> str:
    """A share as a person reads it: 93%."""
    return f"{100 * share:.0f}%"


def status_line(facts: str, *, end: str | None = None, tools: str = "", below: str = "") -> str:
    """The foot of a card. facts: HTML; end: how the run ended; tools: buttons on the right; below: a second row."""
    ending = f'<span class="stopped">{both(ENDINGS[end])}</span>' if end in ENDINGS else ""
    right = f'<span class="tools">{tools}</span>' if tools else ""
    return f'<span class="facts number">{facts}</span>{ending}{right}{below}'


def facts(seconds: float, info: HostInfo, name: str = "") -> str:
    """How long a run took, where, and by which model; HTML."""
    return f"{seconds:.1f} s · {model_routing.where(info)} · {html.escape(name or info.name)}"


def tool(words: str, **data: object) -> str:
    """A small button. words: HTML; data: its data attributes, "" for one without a value."""
    held = "".join(f' data-{name.replace("_", "-")}="{value}"' for name, value in data.items())
    return f'<button type="button" class="tool"{held}>{words}</button>'


def save_link(address: str, words: str) -> str:
    """A link that saves a file of the studio. words: HTML."""
    return f'<a class="tool" href="./studio/{address}" download>{words}</a>'


def copy_button() -> str:
    """A button that copies every [data-copied] of its card."""
    return tool(both("ui.copy"), copy="")


def correct_button() -> str:
    """A button that lets the text beside it, [data-text-of] the id of its result, be corrected in place."""
    return tool(both("ui.correct"), correct_text="")


def command(line: str) -> str:
    """A command line that does the same as the run, with a button to copy it."""
    return f'<div class="command"><code data-copied>{html.escape(line)}</code>{copy_button()}</div>'


def foot(
    result: Result,
    downloads: DownloadRegistry,
    info: HostInfo,
    *,
    saves: Sequence[str] = (),
    sends: Sequence[str] = (),
    more: str = "",
    name: str = "",
) -> str:
    """The status line of a host's result, with notes on how its media were read. saves: file formats to offer; sends:
    tabs its media can be sent to; more: further buttons, as HTML; name: the id of the result, if it is registered."""
    tools = more + (copy_button() if "txt" in saves else "")
    notes = "".join(f'<span class="facts">{spans(note.en, note.zh)}</span>' for note in result.notes)
    if saves:
        name = name or downloads.add_result(result)
        tools += "".join(save_link(f"save/{name}.{form}", form.upper()) for form in saves)
    media = getattr(result.request, "media", None)
    if isinstance(media, Path) and sends:
        file = downloads.add_file(media)
        tools += "".join(send(file, tab) for tab in sends)
    below = facts(result.seconds, info, result.host) + notes
    return status_line(below, end=result.end, tools=tools)


def send(file: str, tab: str) -> str:
    """A button that sends a registered file to another tab."""
    return tool(both(f"ui.send.{tab}"), send=tab, file=file)


def card_of(result: Result, body: str, below: str) -> str:
    """The card of a host's result. below: its foot, shown once the result is there."""
    status = "busy" if not result.done else "stopped" if result.end == "cancelled" else "done"
    return result_card(status, body, below if result.done else "")


def why_nothing(end: str | None, otherwise: str = "ui.caption.nothing") -> str:
    """The key of the sentence for an ended request without a result."""
    return {"cancelled": "ui.stopped.early", "empty": "ui.silent"}.get(end or "", otherwise)


# --- caption, translation --------------------------------------------------------------------------------------------


def caption(result: CaptionResult, downloads: DownloadRegistry, info: HostInfo) -> str:
    """A sentence about a photo, a clip or a sound, as it is written."""
    language = getattr(result.request, "language", "en")
    name = downloads.add_result(result) if result.done else ""
    correctable, correct = (f' data-text-of="{name}"', correct_button()) if name and result.text else ("", "")
    text = html.escape(result.text)
    written = f'<p class="sentence" lang="{language}" data-copied{correctable}>{text}</p>' if text else ""
    if not result.done:
        return card_of(result, written or stage(result.progress), "")
    body = (written or nothing(why_nothing(result.end))) + confidence_notes(result, language)
    below = foot(result, downloads, info, saves=("txt", "json"), sends=("video", "search"), more=correct, name=name)
    return card_of(result, body, below)


def confidence_notes(result: CaptionResult | TranslateResult | AskResult, language: str) -> str:
    """The names that were seen, how sure the result is, and in doubt the best guesses."""
    guesses, names = ((), ()) if isinstance(result, TranslateResult) else (result.guesses, result.names)
    unsure = listed = confident = ""
    if result.unsure:
        gap = "、" if language == "zh" else ", "
        line = both("ui.unsure.guesses", guesses=gap.join(guesses)) if guesses else both("ui.unsure")
        unsure = f'<p class="quiet number judged">{line}</p>'
    if names:
        sure = " · ".join(f"{name} {percent(probability)}" for name, probability in names)
        shown = both("ui.names", names=", ".join(name for name, _ in names))
        listed = f'<p class="quiet" title="{html.escape(sure)}">{theme.mark("text")} {shown}</p>'
    if result.confidence:
        line = explained("ui.video.sure", "ui.sure.why", percent=f"{100 * result.confidence:.0f}")
        confident = f'<p class="quiet number judged">{line}</p>'
    return unsure + listed + words_read(result) + confident


def words_read(result: Result) -> str:
    """The words that were read in the picture; "" where there are none."""
    lines = getattr(result, "written", ())
    shown = words.excerpt(" / ".join(lines), (), WRITTEN_LETTERS)
    return f'<p class="quiet number">{theme.mark("text")} {both("ui.written", words=shown)}</p>' if lines else ""


def translation(result: TranslateResult, downloads: DownloadRegistry, info: HostInfo) -> str:
    """A text in the other language, as it is written."""
    written = f'<p class="sentence" data-copied>{html.escape(result.text)}</p>' if result.text else ""
    if not result.done:
        return card_of(result, written or stage(result.progress), "")
    body = (written or nothing(why_nothing(result.end))) + confidence_notes(result, "")
    return card_of(result, body, foot(result, downloads, info, saves=("txt", "json")))


# --- questions about a clip ------------------------------------------------------------------------------------------


def chat(turns: Mapping[str, AskResult], downloads: DownloadRegistry, info: HostInfo) -> str:
    """Questions and answers about one clip by the ids of their results, the latest last; that one can be corrected."""
    *earlier, (name, latest) = turns.items()
    seen = evidence_strip(latest, downloads) if latest.done else ""
    shown = "".join(_turn(turn) for _, turn in earlier) + _turn(latest, seen, name)
    body = f'<div class="talk">{shown}</div>'
    if len(turns) > 1 and info.source == "builtin":
        body += f'<p class="quiet">{both("ui.video.alone")}</p>'
    if not latest.done:
        return card_of(latest, body, "")
    correct = correct_button() if latest.text else ""
    sends = ("speech", "caption")
    below = foot(latest, downloads, info, saves=("txt", "json"), sends=sends, more=correct, name=name)
    return card_of(latest, body, below)


def _turn(turn: AskResult, seen: str = "", correctable: str = "") -> str:
    """A question and its answer. seen: HTML of what it rests on in the clip. correctable: the id of the result, where
    the answer can be corrected."""
    hidden = "".join(
        f'<span class="chip">{theme.mark(modality)}{both(f"ui.video.hidden.{modality}")}</span>'
        for modality in sorted(getattr(turn.request, "hide", frozenset()))
    )
    question = f'<p class="question">{html.escape(getattr(turn.request, "question", ""))}{hidden}</p>'
    if turn.end == "empty":
        return f'<article class="turn">{question}{nothing("ui.silent")}</article>'
    if turn.text:
        text_of = f' data-text-of="{correctable}"' if correctable else ""
        answer = f'<p class="sentence" data-copied{text_of}>{html.escape(turn.text)}</p>'
    else:
        answer = nothing(why_nothing(turn.end)) if turn.done else stage(turn.progress)
    return f'<article class="turn">{question}{answer}{seen}{_evidence(turn) if turn.done else ""}</article>'


def evidence_strip(turn: AskResult, downloads: DownloadRegistry) -> str:
    """The frames of a clip in a row, above the wave of its sound, with the moments lit that the answer rests on; each
    frame plays from there. "" for a photo, and for what is gone."""
    path = getattr(turn.request, "media", None)
    try:
        info = media.probe(path) if isinstance(path, Path) else None
    except UserError:
        return ""
    if not isinstance(path, Path) or info is None or info.kind == "photo" or info.duration_s <= 0:
        return ""
    file, step_s = downloads.add_file(path), info.duration_s / N_STRIP
    frames = wave = ""
    if info.kind == "clip":
        for n in range(N_STRIP):
            at_s = (n + 0.5) * step_s
            lit = " is-lit" if any(int(moment / step_s) == n for moment in turn.moments_s) else ""
            frames += (
                f'<button type="button" class="strip-frame{lit}" data-seek="{n * step_s:.2f}" '
                f'aria-label="{clock(n * step_s)}"><img src="./studio/thumb/{file}?at={at_s:.2f}" alt="" '
                'loading="lazy"></button>'
            )
    if info.has_sound and info.duration_s <= MOST_WAVE_S:
        wave = f'<img class="strip-wave" src="./studio/wave/{file}?duration={info.duration_s:.2f}" alt="">'
    marks = "".join(
        f'<i class="strip-mark" style="left:{100 * min(1.0, at_s / info.duration_s):.1f}%"></i>'
        for at_s in turn.moments_s
    )
    times = f'<p class="strip-times number"><span>{clock(0)}</span><span>{clock(info.duration_s)}</span></p>'
    return (
        f'<div class="strip" role="group" aria-label="{i18n.title("ui.video.strip")}">'
        f'<div class="strip-row">{frames}</div>{wave}{marks}{times}</div>'
    )


def _evidence(turn: AskResult) -> str:
    """What an answer rests on: a bar per modality, or a sentence where none stands out."""
    silent = f'<p class="quiet">{theme.mark("sound")} {both("ui.video.silent")}</p>' if turn.silent else ""
    moments = "".join(
        f'<button type="button" class="chip time number" data-seek="{at_s:.2f}">{clock(at_s)}</button>'
        for at_s in turn.moments_s
    )
    judged = confidence_notes(turn, turn.request.language if isinstance(turn.request, AskRequest) else "en")
    look = f'<p class="moments"><span class="quiet">{both("ui.video.moments")}</span>{moments}</p>' if moments else ""
    return f'<div class="why">{_shares(turn)}{silent}{look}{judged}</div>'


def _shares(turn: AskResult) -> str:
    if not turn.modalities:
        return ""
    if all(share < RESTS for _, share in turn.modalities):
        which = turn.modalities[0][0] if len(turn.modalities) == 1 else "either"
        return f'<p class="quiet">{both(f"ui.video.spare.{which}")}</p>'
    rows = "".join(meter(share, _modality(name), _much(share), kind=name) for name, share in turn.modalities)
    return f'<div class="shares"><p class="over">{both("ui.video.modalities")}</p>{rows}</div>'


def _much(share: float) -> str:
    """A share in words: beside how sure an answer is, another percentage would be read as the same thing."""
    key = next(key for least, key in ((0.5, "much"), (0.15, "some"), (0.0, "little")) if share >= least)
    return f'<span title="{percent(share)}">{both(f"ui.video.{key}")}</span>'


def _modality(name: str) -> str:
    """Names of things are text, and carry its mark."""
    return f"<span>{theme.mark('text' if name == 'names' else name)}{both(f'ui.modality.{name}')}</span>"


# --- search ----------------------------------------------------------------------------------------------------------


def hits(result: SearchResult, downloads: DownloadRegistry, info: HostInfo) -> str:
    """The best hits as cards, with a warning when none of them fits well."""
    if not result.done:
        return card_of(result, stage(result.progress), "")
    if not result.hits:
        return card_of(result, nothing("ui.search.nothing"), foot(result, downloads, info))
    query = _query(result)
    fitting = [hit for hit in result.hits if hit.fit >= FITS]
    shown = fitting or list(result.hits[:N_CLOSEST])
    folded = result.hits[len(shown) :]
    warning = "" if fitting else f'<p class="warning">{both("ui.search.nofit")}</p>'
    if not fitting and query and not ocr.is_installed():
        warning += f'<p class="quiet">{spans(ocr.missing().en, ocr.missing().zh)}</p>'
    body = f'{warning}<div class="cards{" has-best" if fitting else ""}">{cards(shown, downloads, query)}</div>'
    if folded:
        summary = f"<summary>{both('ui.search.unfit', n=len(folded))}</summary>"
        body += f'<details class="unfit">{summary}<div class="cards">{cards(folded, downloads, query)}</div></details>'
    below = foot(result, downloads, info, saves=("json", "csv"), more=tool(both("ui.search.all"), wall=""))
    return card_of(result, body, below)


def cards(hits: Sequence[Hit], downloads: DownloadRegistry, query: Sequence[str], *, with_fit: bool = True) -> str:
    """Hits as cards. query: the words that were looked for; with_fit: say how well each fits."""
    return "".join(_hit(hit, downloads, query, with_fit) for hit in hits)


def _query(result: SearchResult) -> tuple[str, ...]:
    """The words that were looked for."""
    query = result.request.query if isinstance(result.request, SearchRequest) else ""
    return words.query_parts(query) if isinstance(query, str) else ()


def _hit(hit: Hit, downloads: DownloadRegistry, query: Sequence[str], with_fit: bool) -> str:
    file = downloads.add_file(hit.path)
    name = html.escape(hit.path.name)
    span = f'<span class="number">{clock(hit.start_s)}–{clock(hit.end_s)}</span>' if hit.end_s > hit.start_s else ""
    tools = "".join(send(file, tab) for tab in SENDS.get(hit.kind, ()))
    quoted = html.escape(words.excerpt(hit.text, query, QUOTE_LETTERS)) if hit.text else ""
    why = " · ".join(both(f"ui.search.why.{reason}") for reason in hit.why)
    reasons = f'<span class="why-hit">{why}{": " if quoted and why else ""}</span>' if why else ""
    quote = f'<p class="quote">{reasons}{quoted}</p>' if quoted or reasons else ""
    title = f'{theme.kind_mark(hit.kind)}<span class="name" title="{name}">{name}</span>{span}'
    value = f'<span title="{hit.score:.3f}">{percent(hit.fit)}</span>'
    kind = f'<span class="quiet">{both("ui.kind." + hit.kind)}</span>'
    fit = meter(hit.fit, kind, value) if with_fit else kind
    return (
        f'<article class="card{"" if hit.fit >= FITS else " is-weak"}"><div class="card-media">'
        f'{player(hit.kind, file, hit.start_s, hit.end_s)}</div><div class="card-text"><p class="card-name">{title}</p>'
        f'{quote}{fit}<p class="card-tools">{tools}</p></div></article>'
    )


def player(kind: str | None, file: str, start_s: float = 0.0, end_s: float = 0.0) -> str:
    """A registered file to be seen or heard, from one time in it to another. kind: None where it cannot be read."""
    source, thumb = f"./studio/file/{file}", f"./studio/thumb/{file}" + (f"?at={start_s:.2f}" if start_s else "")
    end = f' data-end="{end_s:.2f}"' if end_s > start_s else ""
    at = f"#t={start_s:.2f}" if start_s > 0 else ""
    if kind == "clip":
        return f'<video src="{source}{at}" poster="{thumb}" controls preload="none" playsinline{end}></video>'
    if kind == "text":
        return theme.mark("text")
    if kind in ("sound", "speech"):
        wave = f'<img class="wave" src="{thumb}" alt="" loading="lazy">'
        return f'{wave}<audio src="{source}{at}" controls preload="none"{end}></audio>'
    return f'<img src="{thumb}" alt="" loading="lazy">'


def index(result: IndexResult, downloads: DownloadRegistry, info: HostInfo) -> str:
    """What a collection holds now, and which files could not be read."""
    if not result.done:
        return card_of(result, stage(result.progress), "")
    counts = both(
        "ui.search.indexed", rows=result.n_rows, added=result.n_added, same=result.n_unchanged, gone=result.n_removed
    )
    names = html.escape(", ".join(result.passed))
    passed = (
        f'<details class="failures"><summary>{both("ui.search.passed", n=result.n_passed)}</summary>'
        f"<p>{names}</p></details>"
        if result.n_passed
        else ""
    )
    kept = f'<p class="row-note">{both("ui.search.kept", n=result.n_missing)}</p>' if result.n_missing else ""
    body = f'<p class="nothing">{counts}</p>{kept}{failures(result.failures)}{passed}'
    return card_of(result, body, foot(result, downloads, info))


def failures(failed: Sequence[tuple[str, Message]], most: int = 100) -> str:
    """Files that could not be read, each with the reason, folded; "" where there are none. most: that are listed."""
    if not failed:
        return ""
    listed = "".join(f"<li><b>{html.escape(name)}</b> {sentence(why)}</li>" for name, why in failed[:most])
    summary = both("ui.search.failures", n=len(failed))
    return f'<details class="failures"><summary>{summary}</summary><ul>{listed}</ul></details>'


# --- several answers side by side ------------------------------------------------------------------------------------


def side(title: str, text: str, result: Result | None, *, is_over: bool, foot: str = "") -> str:
    """One of several results side by side. title, foot: HTML; text: HTML of what the result says, "" for nothing yet;
    result: None for one that has not begun; is_over: none of them goes on."""
    if not text and (is_over or (result is not None and result.done)):
        text = nothing(_why(result))
    elif not text:
        text = f'<p class="quiet">{both("ui.compare.next")}</p>' if result is None else stage(result.progress)
    return f'<article class="side">{title}<div class="side-text">{text}</div>{foot}</article>'


def _why(result: Result | None) -> str:
    """The key of the sentence for a result that says nothing."""
    if isinstance(result, TranscribeResult) and result.end != "cancelled":
        return "ui.speech.nothing"
    return why_nothing("cancelled" if result is None else result.end)


def wall(samples: Sequence[Sample]) -> str:
    """What the samples' collection holds; each can be clicked to find what is like it."""
    hint = f'<p class="hint wall-hint">{both("ui.search.wall", n=len(samples))}</p>'
    return result_card("empty", f'{hint}<div class="wall">{sample_cards(samples)}</div>')


def sample_cards(samples: Sequence[Sample]) -> str:
    """Thumbnails of samples as buttons [data-sample]."""
    return "".join(
        f'<button type="button" class="sample" data-sample="{sample.file_id}">'
        f'<span class="sample-picture"><img src="./studio/thumb/{sample.file_id}" alt="" loading="lazy">'
        f'{theme.kind_mark(sample.kind)}</span><span class="sample-title">{spans(*sample.titles)}</span></button>'
        for sample in samples
    )


# --- examples of a result, for the empty states ----------------------------------------------------------------------


def example(body: str) -> str:
    """What a result will look like; not read out."""
    return f'<div class="example" aria-hidden="true">{body}</div>'


def example_sentence(key: str) -> str:
    """What a caption looks like."""
    return example(f'<p class="sentence">{both(key)}</p>')


def example_segments() -> str:
    """What a transcript looks like."""
    rows = "".join(
        f'<div class="segment"><span class="time number">{clock(at_s)}</span>'
        f"<div><p>{both(f'ui.speech.example.{n}')}</p></div></div>"
        for n, at_s in ((1, 0), (2, 4), (3, 9))
    )
    return example(f'<div class="segments">{rows}</div>')


def example_answer() -> str:
    """What an answer looks like, and which modality it rests on."""
    rows = "".join(meter(share, _modality(name), "", kind=name) for name, share in (("picture", 0.18), ("sound", 0.82)))
    return example(
        f'<div class="talk"><article class="turn"><p class="question">{both("ui.video.example.question")}</p>'
        f'<p class="sentence">{both("ui.video.example.answer")}</p>'
        f'<div class="why"><div class="shares">{rows}</div></div></article></div>'
    )
