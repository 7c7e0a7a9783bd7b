""" "Teach it" as HTML: tiles of the examples, the saved label sets, and what a file was recognised as.

Pure functions. File names and labels are escaped; paths never appear, only ids of the `DownloadRegistry`.
"""

from __future__ import annotations

import html
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence

from engines import HostInfo, Progress, UserError
from engines.lab.fewshot import MAX_EXAMPLES, LabelSet, Prediction
from engines.lab.label_store import Entry, slug
from studio import file_tiles, theme, views
from studio.i18n import both, sentence
from studio.tabs.teach.label_store import UploadedFile

ALIKE = ((0.75, "very"), (0.45, "quite"), (0.2, "little"), (-2.0, "hardly"))
"""The least cosine of each word for how alike two examples are."""
ACCEPT = "image/*,audio/*,video/*"
"""What a file dialogue offers first; for these a phone also offers its camera and recorder."""


# --- examples ------------------------------------------------------------------------------------------------


def tile(file: UploadedFile, under: str = "", *, can_go: bool = False) -> str:
    """A thumbnail of a file, with a play button for sounds. under: HTML below it. can_go: has a remove button."""
    name, inside = file.path.name, ""
    if file.kind is None:
        inside = f'<span class="tile-bad">{both("ui.teach.unreadable")}</span>'
    elif file.kind in ("sound", "speech"):
        words = f'<span class="unseen">{both("ui.teach.play")} {html.escape(name)}</span>'
        inside = f'<audio src="./studio/file/{file.file_id}" preload="none"></audio>'
        inside += f'<button type="button" class="tile-play" data-play>{words}</button>'
    out = "ui.teach.out" if can_go else ""
    return file_tiles.tile(file.path, file.file_id, alt=name, inside=inside, out=out, under=under)


def tiles(row: Sequence[UploadedFile], n_lost: int = 0) -> str:
    """The examples of a label, and a drop area for more. n_lost: files that were left out."""
    note = f'<p class="row-note">{both("ui.teach.toomany", n=n_lost, most=MAX_EXAMPLES)}</p>' if n_lost else ""
    shown = "".join(tile(each, can_go=True) for each in row)
    return (
        f'<div class="tiles{"" if row else " is-empty"}">{shown}{drop_area("ui.teach.drop")}</div>{note}'
        f'<button type="button" class="row-away" data-away>×<span class="unseen">{both("ui.teach.away")}</span>'
        "</button>"
    )


def drop_area(key: str) -> str:
    """An area to drop files on, or to click."""
    return file_tiles.place(f'<span class="place-said">{both(key)}</span>', f' accept="{ACCEPT}"')


def burst(n: int) -> str:
    """A button that takes `n` photos one after the other, with the camera's picture meanwhile."""
    return (
        f'<div class="burst"><button type="button" class="chip" data-burst>{both("ui.teach.burst", n=n)}</button>'
        '<span class="quiet number" data-count aria-live="polite"></span>'
        "<video data-picture muted playsinline hidden></video>"
        f'<p class="row-note" role="alert" data-problem hidden>{both("ui.teach.burst.problem")}</p></div>'
    )


# --- saved label sets ----------------------------------------------------------------------------------------------


def sets(entries: Sequence[Entry], used: str = "", *, asked: str = "") -> str:
    """The label sets, each with Open, Rename and Delete. used: name of the active one. asked: name of the one whose
    opening has to be confirmed, because the rows hold unsaved files."""
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
        f"{sentence(entry.failure)}</span>"
        f'<span class="set-tools">{_do("delete", "ui.teach.delete")}</span></div>'
    )


def _turn(state: str) -> str:
    key = f"ui.teach.{state}" if state else "ui.teach.back"
    return views.tool(both(key), turn=state)


def _ask(state: str, what: str) -> str:
    return (
        f'<span class="set-tools when-{state}"><span>{both(f"ui.teach.{state}.ask")}</span>'
        f"{_do(what, f'ui.teach.{state}.yes')}{_turn('')}</span>"
    )


def _do(what: str, key: str) -> str:
    return views.tool(both(key), do=what)


# --- the label set -----------------------------------------------------------------------------------------------


def empty() -> str:
    """The card before the first run: what to do, and what the result will look like."""
    bars = _bar("A", 0.93, is_best=True) + _bar("B", 0.05) + _bar(None, 0.02)
    example = views.example(
        f'<article class="named"><div class="named-media">{theme.kind_mark("photo")}</div><div>'
        f'<p class="sentence">A</p><div class="probabilities">{bars}</div></div></article>'
    )
    return views.result_card("empty", f'<p class="hint">{both("ui.teach.empty")}</p>{example}')


def label_set(
    labels: LabelSet,
    tried: Mapping[tuple[str, str | None], int],
    failures: Sequence[tuple[str, UserError]] = (),
    *,
    saved: str = "",
) -> str:
    """The labels of a set, what its own examples are recognised as by the others, and the files left out. tried: as
    of `logic.leave_one_out`; saved: the id of the set, to be taken along."""
    counts = Counter(example.label for example in labels.examples)
    chips = "".join(
        f'<span class="chip">{html.escape(label)}<b class="number">{counts[label]}</b></span>'
        for label in labels.labels
    )
    n, right = sum(tried.values()), sum(times for (label, found), times in tried.items() if label == found)
    sure = f'<p class="quiet number">{both("ui.teach.tried", right=right, n=n)}</p>' if n else ""
    wrong = confusion(labels.labels, tried) if right < n else ""
    take = ""
    if saved:
        link = views.save_link(f"labels/{saved}.zip", both("ui.teach.export"))
        take = f'<p class="knows">{link}<span class="quiet">{both("ui.teach.export.what")}</span></p>'
    knows = f'<p class="knows">{both("ui.teach.knows", name=labels.name)}{chips}</p>'
    return knows + sure + wrong + take + left_out(failures)


def confusion(labels: Sequence[str], tried: Mapping[tuple[str, str | None], int]) -> str:
    """A table of what examples are (rows) against what they were recognised as (columns)."""
    found: list[str | None] = [*labels, None]
    head = "".join(f'<th scope="col">{_label(each)}</th>' for each in found)
    rows = ""
    for label in labels:
        if not any(tried.get((label, each)) for each in found):
            continue
        cells = ""
        for each in found:
            times = tried.get((label, each), 0)
            kind = " yes" if each == label else " wrong" if times else ""
            cells += f'<td class="number{kind}">{times or "·"}</td>'
        rows += f'<tr><th scope="row">{html.escape(label)}</th>{cells}</tr>'
    caption = f'<caption class="over">{both("ui.teach.confusion")}</caption>'
    table = f"{caption}<thead><tr><td></td>{head}</tr></thead><tbody>{rows}</tbody>"
    return f'<div class="wide"><table class="grid confusion">{table}</table></div>'


def left_out(failures: Sequence[tuple[str, UserError]]) -> str:
    """The files that could not be read, each with the reason."""
    if not failures:
        return ""
    listed = "".join(f"<li>{sentence(error)}</li>" for _, error in failures)
    return f'<div class="warning left-out">{both("ui.teach.leftout", n=len(failures))}<ul>{listed}</ul></div>'


def not_taken(n_files: int) -> str:
    """How many files were left out; "" for none."""
    return f'<p class="warning">{both("ui.teach.notall", n=n_files, most=MAX_EXAMPLES)}</p>' if n_files else ""


def warning(error: UserError) -> str:
    """A warning above the result."""
    return f'<p class="warning">{sentence(error)}</p>'


# --- recognition -------------------------------------------------------------------------------------------------


def card(file: UploadedFile, prediction: Prediction, near: Sequence[UploadedFile]) -> str:
    """One file: its label, a bar per label, and the nearest examples."""
    name, label = html.escape(file.path.name), prediction.label
    bars = "".join(_bar(each, probability, is_best=each == label) for each, probability in prediction.probabilities)
    beside = "".join(
        tile(shown, f"<b>{html.escape(example.label)}</b> {alike(likeness)}")
        for shown, (example, likeness) in zip(near, prediction.nearest, strict=True)
    )
    return (
        f'<article class="named{" is-none" if label is None else ""}">{_medium(file)}<div class="named-said">'
        f'<p class="named-label" data-copied><span class="unseen">{name}: </span><span>{_label(label)}</span> '
        f'<span class="number">{views.percent(prediction.confidence)}</span></p>'
        f'<p class="named-file quiet">{theme.kind_mark(file.kind or "photo")}<span>{name}</span></p>'
        f'<div class="probabilities">{bars}{_bar(None, prediction.none, is_best=label is None)}</div>'
        f'<p class="over">{both("ui.teach.nearest")}</p><div class="tiles near">{beside}</div></div></article>'
    )


def alike(likeness: float) -> str:
    """A cosine in words; the number when it is pointed at."""
    key = next(key for least, key in ALIKE if likeness >= least)
    return f'<span class="quiet" title="{round(likeness, 2) + 0.0:.2f}">{both(f"ui.teach.alike.{key}")}</span>'


def unread(file: UploadedFile, error: UserError) -> str:
    """One file that could not be read, and why."""
    why = f'<p class="problem small">{sentence(error)}</p>'
    return f'<article class="named is-none">{_medium(file)}{why}</article>'


def results(head: str, cards: Sequence[str], progress: Progress | None = None, *, foot: str = "", end: str = "") -> str:
    """The card with everything recognised so far. end: "" while it runs, else "finished" or "cancelled"."""
    status = {"": "busy", "cancelled": "stopped"}.get(end, "done")
    body = head + (views.stage(progress) if not end else "") + "".join(cards)
    return views.result_card(status, body, foot if end else "")


def foot(info: HostInfo, seconds: float, *, end: str, command: Sequence[str] | None = None) -> str:
    """The status line. command: a command line that does the same; None: the labels can be copied instead."""
    tools = views.copy_button() if command is None else ""
    below = views.command(shlex.join(command)) if command else ""
    return views.status_line(views.facts(seconds, info), end=end, tools=tools, below=below)


def _medium(file: UploadedFile) -> str:
    return f'<div class="named-media">{views.player(file.kind, file.file_id)}</div>'


def _label(label: str | None) -> str:
    return both("ui.teach.none") if label is None else html.escape(label)


def _bar(label: str | None, probability: float, *, is_best: bool = False) -> str:
    row = "share is-best" if is_best else "share"
    return views.meter(probability, f"<span>{_label(label)}</span>", row=row)
