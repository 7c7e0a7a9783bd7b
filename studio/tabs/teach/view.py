"""What was dropped, taught and named on the page "Teach it", as HTML: tiles, the label sets, bars and neighbours.

Pure functions. File names and labels are escaped; paths never appear, only ids from the downloads.
"""

from __future__ import annotations

import html
import shlex
from collections import Counter
from collections.abc import Sequence

from engines import HostInfo, Progress, UserError
from engines.lab.fewshot import MAX_EXAMPLES, LabelSet, Prediction
from engines.lab.label_store import Entry, slug
from studio import model_routing, theme, views
from studio.i18n import both, spans
from studio.label_store import UploadedFile

ACCEPT = "image/*,audio/*,video/*"
"""What a file dialogue offers first; a phone offers its camera and its recorder for it."""


# --- what was dropped --------------------------------------------------------------------------------------------


def tile(file: UploadedFile, under: str = "", *, can_go: bool = False) -> str:
    """A small picture of a file, with a player where it can be heard. under: HTML below it. can_go: may be removed."""
    name = html.escape(file.path.name)
    inside = f'<img src="./studio/thumb/{file.file_id}" alt="{name}" loading="lazy">'
    if file.kind is None:
        inside += f'<span class="tile-bad">{both("ui.teach.unreadable")}</span>'
    elif file.kind in ("sound", "speech"):
        inside += (
            f'<audio src="./studio/file/{file.file_id}" preload="none"></audio>'
            f'<button type="button" class="tile-play" data-play><span class="unseen">{both("ui.teach.play")} {name}'
            "</span></button>"
        )
    if can_go:
        inside += (
            f'<button type="button" class="tile-out" data-out="{file.file_id}">×<span class="unseen">'
            f"{both('ui.teach.out')} {name}</span></button>"
        )
    below = f"<figcaption>{under}</figcaption>" if under else ""
    return f'<figure class="tile" title="{name}"><div class="tile-picture">{inside}</div>{below}</figure>'


def tiles(row: Sequence[UploadedFile], n_lost: int = 0) -> str:
    """What lies in the row of a label, and the place where more is dropped. n_lost: how many were not taken."""
    note = f'<p class="row-note">{both("ui.teach.toomany", n=n_lost, most=MAX_EXAMPLES)}</p>' if n_lost else ""
    shown = "".join(tile(each, can_go=True) for each in row)
    return (
        f'<div class="tiles{"" if row else " is-empty"}">{shown}{place("ui.teach.drop")}</div>{note}'
        f'<button type="button" class="row-away" data-away>×<span class="unseen">{both("ui.teach.away")}</span>'
        "</button>"
    )


def place(key: str) -> str:
    """A place to drop files on, or to click."""
    return (
        f'<label class="place"><input type="file" multiple accept="{ACCEPT}"><i aria-hidden="true">+</i>'
        f'<span class="place-said">{both(key)}</span></label>'
    )


# --- the label sets there are --------------------------------------------------------------------------------------


def sets(entries: Sequence[Entry], used: str = "", *, asked: str = "") -> str:
    """The label sets one may open, rename or delete. used: the name of the one in use. asked: of the one about which is
    asked whether to open it, since what lies in the rows now is in no set."""
    if not entries:
        return ""
    rows = "".join(_damaged(entry) if entry.failure else _set(entry, used, asked) for entry in entries)
    return f'<p class="over">{both("ui.teach.sets")}</p><div class="sets">{rows}</div>'


def _set(entry: Entry, used: str, asked: str) -> str:
    name, labels = html.escape(entry.name), html.escape(", ".join(entry.labels))
    is_used = bool(used) and slug(used) == slug(entry.name)
    state = "open" if asked == entry.name else ""
    facts = both("ui.teach.facts", labels=len(entry.labels), examples=entry.n_examples)
    return (
        f'<div class="set{" is-used" if is_used else ""}" data-set="{name}" data-state="{state}">'
        f'<button type="button" class="set-name" data-do="open" title="{labels}">'
        f'<b>{name}</b><span class="quiet number">{facts}</span></button>'
        f'<span class="set-tools when-calm">{_turn("rename")}{_turn("delete")}</span>'
        f'<span class="set-tools when-rename"><input type="text" value="{name}" maxlength="60" aria-label="{name}">'
        f"{_do('rename', 'ui.teach.rename.yes')}{_turn('')}</span>"
        f"{_ask('delete', 'delete')}{_ask('open', 'replace')}</div>"
    )


def _damaged(entry: Entry) -> str:
    assert entry.failure is not None
    return (
        f'<div class="set" data-set="{html.escape(entry.name)}" data-state=""><span class="unable">'
        f"{spans(entry.failure.en, entry.failure.zh)}</span>"
        f'<span class="set-tools">{_do("delete", "ui.teach.delete")}</span></div>'
    )


def _turn(state: str) -> str:
    key = f"ui.teach.{state}" if state else "ui.teach.back"
    return f'<button type="button" class="tool" data-turn="{state}">{both(key)}</button>'


def _ask(state: str, what: str) -> str:
    return (
        f'<span class="set-tools when-{state}"><span>{both(f"ui.teach.{state}.ask")}</span>'
        f"{_do(what, f'ui.teach.{state}.yes')}{_turn('')}</span>"
    )


def _do(what: str, key: str) -> str:
    return f'<button type="button" class="tool" data-do="{what}">{both(key)}</button>'


# --- what was taught -----------------------------------------------------------------------------------------------


def empty() -> str:
    """What the result shows before anything was taught: what to do, and what comes out."""
    bars = _bar("A", 0.93, is_said=True) + _bar("B", 0.05) + _bar(None, 0.02)
    example = (
        f'<div class="example" aria-hidden="true"><article class="named"><div class="named-media">'
        f'{theme.kind_mark("photo")}</div><div><p class="sentence">A</p><div class="chances">{bars}</div></div>'
        "</article></div>"
    )
    return views.result_card("empty", f'<p class="hint">{both("ui.teach.empty")}</p>{example}')


def stopped() -> str:
    """Stopped before the end; nothing that was dropped is gone."""
    return views.result_card("stopped", f'<p class="nothing">{both("ui.teach.stopped")}</p>')


def looking(progress: Progress | None) -> str:
    """How far the examples are looked at."""
    return views.result_card("busy", views.stage(progress))


def taught(labels: LabelSet, tried: tuple[int, int], failures: Sequence[tuple[str, UserError]] = ()) -> str:
    """What a set knows now, how many of its examples the others name right, and which files were left out."""
    counts = Counter(example.label for example in labels.examples)
    chips = "".join(
        f'<span class="chip">{html.escape(label)}<b class="number">{counts[label]}</b></span>'
        for label in labels.labels
    )
    right, n = tried
    sure = f'<p class="quiet number">{both("ui.teach.tried", right=right, n=n)}</p>' if n else ""
    return f'<p class="knows">{both("ui.teach.knows", name=labels.name)}{chips}</p>{sure}{left_out(failures)}'


def left_out(failures: Sequence[tuple[str, UserError]]) -> str:
    """The files that could not be read, each with its sentence."""
    if not failures:
        return ""
    listed = "".join(f"<li>{spans(error.en, error.zh)}</li>" for _, error in failures)
    return f'<div class="warning left-out">{both("ui.teach.leftout", n=len(failures))}<ul>{listed}</ul></div>'


def lost(n_files: int) -> str:
    """How many files were not taken; "" for none."""
    return f'<p class="warning">{both("ui.teach.notall", n=n_files, most=MAX_EXAMPLES)}</p>' if n_files else ""


def warning(error: UserError) -> str:
    """A sentence beside what there is."""
    return f'<p class="warning">{spans(error.en, error.zh)}</p>'


# --- what was named ------------------------------------------------------------------------------------------------


def card(file: UploadedFile, naming: Prediction, near: Sequence[UploadedFile]) -> str:
    """One medium with its name, a bar for each label, and the examples it is nearest to."""
    name, label = html.escape(file.path.name), naming.label
    bars = "".join(_bar(each, chance, is_said=each == label) for each, chance in naming.probabilities)
    beside = "".join(
        tile(shown, f'<b>{html.escape(example.label)}</b> <span class="number">{round(likeness, 2) + 0.0:.2f}</span>')
        for shown, (example, likeness) in zip(near, naming.nearest, strict=True)
    )
    return (
        f'<article class="named{" is-none" if label is None else ""}">{_medium(file)}<div class="named-said">'
        f'<p class="named-label" data-copied><span class="unseen">{name}: </span><span>{_label(label)}</span> '
        f'<span class="number">{_percent(naming.confidence)}</span></p>'
        f'<p class="named-file quiet">{theme.kind_mark(file.kind or "photo")}<span>{name}</span></p>'
        f'<div class="chances">{bars}{_bar(None, naming.none, is_said=label is None)}</div>'
        f'<p class="over">{both("ui.teach.nearest")}</p><div class="tiles near">{beside}</div></div></article>'
    )


def unread(file: UploadedFile, error: UserError) -> str:
    """One medium that could not be named, and why."""
    said = f'<p class="problem small">{spans(error.en, error.zh)}</p>'
    return f'<article class="named is-none">{_medium(file)}{said}</article>'


def named(head: str, cards: Sequence[str], progress: Progress | None = None, *, foot: str = "", end: str = "") -> str:
    """The result of everything named so far. end: "" while it goes on, else "finished" or "cancelled"."""
    state = {"": "busy", "cancelled": "stopped"}.get(end, "done")
    body = head + (views.stage(progress) if not end else "") + "".join(cards)
    return views.result_card(state, body, foot if end else "")


def foot(info: HostInfo, seconds: float, *, end: str, command: Sequence[str] | None = None) -> str:
    """The status line: seconds, device, host, copy. command: which does the same; None: the names are copied."""
    facts = f"{seconds:.1f} s · {model_routing.where(info)} · {html.escape(info.name)}"
    stopped_early = f'<span class="stopped">{both("ui.stopped")}</span>' if end == "cancelled" else ""
    copy = f'<button type="button" class="tool" data-copy>{both("ui.copy")}</button>'
    if command is None:
        tools = f'<span class="tools">{copy}</span>'
    elif command:
        tools = f'<div class="command"><code data-copied>{html.escape(shlex.join(command))}</code>{copy}</div>'
    else:
        tools = ""
    return f'<span class="facts number">{facts}</span>{stopped_early}{tools}'


def _medium(file: UploadedFile) -> str:
    thumb, source = f"./studio/thumb/{file.file_id}", f"./studio/file/{file.file_id}"
    if file.kind == "clip":
        inside = f'<video src="{source}" poster="{thumb}" controls preload="none" playsinline></video>'
    else:
        inside = f'<img src="{thumb}" alt="" loading="lazy">'
        if file.kind in ("sound", "speech"):
            inside += f'<audio src="{source}" controls preload="none"></audio>'
    return f'<div class="named-media">{inside}</div>'


def _label(label: str | None) -> str:
    return both("ui.teach.none") if label is None else html.escape(label)


def _bar(label: str | None, chance: float, *, is_said: bool = False) -> str:
    return (
        f'<div class="share{" is-said" if is_said else ""}"><span>{_label(label)}</span><div class="meter">'
        f'<i style="width:{100 * chance:.1f}%"></i></div><span class="number">{_percent(chance)}</span></div>'
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
