"""Teach it, without its widgets: from the rows of a page to a label set, and from files to their names.

Dropped files stay in the draft if anything fails; a label set that was taught is saved in the `LabelStore`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

from engines import Cancel, Cancelled, EmbedRequest, Host, Kind, MediaError, Progress, RequestError
from engines.lab.fewshot import LabelSet, TeachRequest, check_digest, recognise, recognise_file, teach, tidy
from engines.lab.label_store import slug
from studio import stream, views
from studio.label_store import Draft, UploadedFile
from studio.state import AppState
from studio.tabs.teach import view

TAB = "teach"
Frames: TypeAlias = Iterator[tuple[str, bool]]
"""HTML, and whether it goes on."""


# --- what is asked ---------------------------------------------------------------------------------------------------


def lesson(draft: Draft, name: str | None, labels: Sequence[str | None]) -> TeachRequest:
    """What the rows say. A row without label and files is left out; lines pasted into one are labels each.

    Raises RequestError where it can become no set.
    """
    files: list[tuple[str, tuple[Path, ...]]] = []
    for n, typed in enumerate(labels[: draft.n_rows]):
        paths = tuple(each.path for each in draft.row(n))
        lines = [tidy(line) for line in (typed or "").splitlines() if tidy(line)]
        if not lines and paths:
            raise RequestError("label_name_needed", "Give label {number} a name.", number=n + 1)
        files += [(line, () if i else paths) for i, line in enumerate(lines)]
    return TeachRequest(tidy(name or ""), tuple(files))


def spread(draft: Draft, labels: Sequence[str | None]) -> list[str]:
    """The labels after lines were pasted into one: further lines go to free rows, or stay where those are too few."""
    typed = [each or "" for each in labels]
    for n in range(len(typed)):
        lines = [tidy(line) for line in typed[n].splitlines() if tidy(line)]
        free = [i for i in range(len(typed)) if i != n and not typed[i].strip() and not draft.row(i)]
        if 1 < len(lines) <= len(free) + 1:
            for i, line in zip((n, *free), lines, strict=False):
                typed[i] = line
    draft.more(max((n + 1 for n, line in enumerate(typed) if line), default=0))
    return typed


# --- what happens ----------------------------------------------------------------------------------------------------


def play(state: AppState, session: str, begin: Callable[[Cancel], Frames]) -> Frames:
    """Teach or name with a token of its own. A newer run on the same page ends this one in silence."""
    cancel = state.running.start(session, TAB)
    try:
        yield views.waiting(), True
        try:
            for frame in begin(cancel):
                if not state.running.is_latest(session, TAB, cancel):
                    return
                yield frame
        except Exception as error:  # the edge of the house, as in stream.play
            if state.running.is_latest(session, TAB, cancel):
                yield view.stopped() if isinstance(error, Cancelled) else views.problem(stream.calm(error)), False
    finally:  # also when the page was closed: gradio ends this generator at a yield
        state.running.end(session, TAB, cancel)


def teaching(state: AppState, session: str, name: str | None, labels: Sequence[str | None]) -> Frames:
    """Teach what lies in the rows, keep it, and name again what was named last."""
    return play(state, session, lambda cancel: _teach(state, session, name, labels, cancel))


def asking(state: AppState, session: str, files: Sequence[UploadedFile], n_lost: int = 0) -> Frames:
    """Name files by the set in use. n_lost: how many more were given than were taken."""
    state.label_store.draft(session).asked = tuple(files)
    return play(state, session, lambda cancel: _name(state, session, view.lost(n_lost), cancel))


def _teach(state: AppState, session: str, name: str | None, labels: Sequence[str | None], cancel: Cancel) -> Frames:
    started_s, draft, host = time.monotonic(), state.label_store.draft(session), _host(state)
    wanted = lesson(draft, name, labels)
    if state.label_store.has(session, wanted.name) and slug(wanted.name) != slug(draft.taught):
        raise RequestError(
            "label_set_taken",
            "There is a label set {name!r} already; open it, or choose another name.",
            name=wanted.name,
        )
    for step in teach(host, wanted, cancel):
        if step.progress is not None:
            yield view.looking(step.progress), True
    if step.labels is None:
        raise Cancelled
    state.label_store.keep(session, step.labels)
    draft.use(step.labels.name)
    head = view.taught(step.labels, tried(step.labels), step.failures)
    if draft.asked:
        yield from _name(state, session, head, cancel)
        return
    command = () if state.rules.shared else ("python", "-m", "engines", "recognise", step.labels.name, "photo.jpg")
    foot = view.foot(host.info, time.monotonic() - started_s, end="finished", command=command)
    yield view.named(head, (), foot=foot, end="finished"), False


def tried(labels: LabelSet) -> tuple[int, int]:
    """How many examples are named right by all the others, and of how many: the only one of its label is not tried."""
    counts = Counter(example.label for example in labels.examples)
    asked = [example for example in labels.examples if counts[example.label] > 1]
    right = 0
    for one in asked:
        others = replace(labels, examples=tuple(each for each in labels.examples if each is not one))
        right += recognise(others, one.vector).label == one.label
    return right, len(asked)


def _name(state: AppState, session: str, head: str, cancel: Cancel) -> Frames:
    started_s, draft, host = time.monotonic(), state.label_store.draft(session), _host(state)
    if not draft.taught:
        raise RequestError("label_set_needed", "Teach a label set first, or open one.")
    labels = state.label_store.load(session, draft.taught)
    files, cards = draft.asked, list[str]()
    for n, file in enumerate(files):
        yield view.named(head, cards, Progress("looking", n, len(files), "files")), True
        try:
            found = recognise_file(host, labels, file.path, cancel)
            near = [UploadedFile(Path(each.path), each.kind, _put(state, each.path)) for each, _ in found.nearest]
            cards.append(view.card(file, found, near))
        except MediaError as error:
            cards.append(view.unread(file, error))
        except Cancelled:
            break
    end = "cancelled" if len(cards) < len(files) else "finished"
    foot = view.foot(host.info, time.monotonic() - started_s, end=end)
    yield view.named(head, cards, foot=foot, end=end), False


def open_set(state: AppState, session: str, name: str, lend: Callable[[Path], str]) -> tuple[str, list[str]]:
    """Put a set on the draft and in use: what the result shows, and the labels. lend: path → a copy of the page's own.

    Raises RequestError where there is no such set, CollectionError where it is damaged.
    """
    draft, labels = state.label_store.draft(session), state.label_store.load(session, name)
    rows: dict[str, list[UploadedFile]] = {each: [] for each in labels.labels}
    for example in labels.examples:
        if Path(example.path).is_file():
            rows[example.label].append(look(state, Path(lend(Path(example.path)))))
        elif example.path:  # gone since; teaching names it among what it left out
            rows[example.label].append(UploadedFile(Path(example.path), None, _put(state, example.path)))
    draft.fill([tuple(row) for row in rows.values()])
    draft.use(labels.name)
    draft.asked = ()
    head = view.taught(labels, tried(labels))
    try:
        check_digest(labels, _host(state).info.model_digest)
    except RequestError as error:
        head += view.warning(error)
    return view.named(head, (), end="finished"), list(labels.labels)


def look(state: AppState, path: Path) -> UploadedFile:
    """What a file is, by what is inside it."""
    from engines.media import probe

    kind: Kind | None
    try:
        kind = probe(path).kind
    except MediaError:
        kind = None
    return UploadedFile(path, kind, state.downloads.put_file(path))


def _put(state: AppState, path: str) -> str:
    return state.downloads.put_file(Path(path)) if path else ""


def _host(state: AppState) -> Host:
    return state.host.serving(EmbedRequest)
