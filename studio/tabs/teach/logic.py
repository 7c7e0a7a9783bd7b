""" "Teach it" without its widgets: from the rows of a draft to a label set, and from files to their labels.

Dropped files stay in the draft if anything fails; a label set that was taught is saved in the `LabelStore`.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from engines import Cancel, Cancelled, EmbedRequest, Host, Kind, MediaError, Progress, RequestError
from engines.lab.fewshot import LabelSet, TeachRequest, check_digest, recognise, recognise_file, teach, tidy
from engines.lab.label_store import slug
from engines.media import probe
from studio import stream, views
from studio.state import AppState
from studio.stream import Frames
from studio.tabs.teach import view
from studio.tabs.teach.label_store import Draft, UploadedFile

TAB = "teach"


# --- from rows to a request ------------------------------------------------------------------------------------------


def teach_request(draft: Draft, name: str | None, labels: Sequence[str | None]) -> TeachRequest:
    """What the rows ask to teach. Empty rows are skipped; several lines pasted into one label are labels each.

    Raises RequestError if a row has files but no label.
    """
    files: list[tuple[str, tuple[Path, ...]]] = []
    for n, typed in enumerate(labels[: draft.n_rows]):
        paths = tuple(each.path for each in draft.row(n))
        lines = [tidy(line) for line in (typed or "").splitlines() if tidy(line)]
        if not lines and paths:
            raise RequestError("label_name_needed", "Give label {number} a name.", number=n + 1)
        files += [(line, () if i else paths) for i, line in enumerate(lines)]
    return TeachRequest(tidy(name or ""), tuple(files))


def spread_lines(draft: Draft, labels: Sequence[str | None]) -> list[str]:
    """The labels after several lines were pasted into one: further lines go to free rows if there are enough."""
    typed = [each or "" for each in labels]
    for n in range(len(typed)):
        lines = [tidy(line) for line in typed[n].splitlines() if tidy(line)]
        free = [i for i in range(len(typed)) if i != n and not typed[i].strip() and not draft.row(i)]
        if 1 < len(lines) <= len(free) + 1:
            for i, line in zip((n, *free), lines, strict=False):
                typed[i] = line
    draft.show_rows(max((n + 1 for n, line in enumerate(typed) if line), default=0))
    return typed


# --- runs ------------------------------------------------------------------------------------------------------------


def teach_rows(state: AppState, session: str, name: str | None, labels: Sequence[str | None]) -> Frames:
    """Teach the rows, save the set, and recognise again the files that were recognised last."""
    return _run(state, session, lambda cancel: _teach(state, session, name, labels, cancel))


def recognise_files(state: AppState, session: str, files: Sequence[UploadedFile], n_lost: int = 0) -> Frames:
    """Recognise files by the active set. n_lost: how many more were dropped than were taken."""
    state.label_store.draft(session).queries = tuple(files)
    return _run(state, session, lambda cancel: _recognise(state, session, view.not_taken(n_lost), cancel))


def _run(state: AppState, session: str, steps: Callable[[Cancel], Frames]) -> Frames:
    return stream.run(state, session, TAB, steps, stopped=views.stopped("ui.teach.stopped"))


def _teach(state: AppState, session: str, name: str | None, labels: Sequence[str | None], cancel: Cancel) -> Frames:
    started_s, draft, host = time.monotonic(), state.label_store.draft(session), _host(state)
    wanted = teach_request(draft, name, labels)
    taken = {slug(entry.name) for entry in state.label_store.sets(session).entries()} - {slug(draft.active)}
    if slug(wanted.name) in taken:
        raise RequestError(
            "label_set_taken",
            "There is a label set {name!r} already; open it, or choose another name.",
            name=wanted.name,
        )
    for step in teach(host, wanted, cancel):
        if step.progress is not None:
            yield views.waiting(step.progress), True
    if step.labels is None:
        raise Cancelled
    state.label_store.save(session, step.labels)
    draft.activate(step.labels.name)
    saved = state.downloads.add_labels(step.labels)
    head = view.label_set(step.labels, leave_one_out(step.labels), step.failures, saved=saved)
    if draft.queries:
        yield from _recognise(state, session, head, cancel)
        return
    command = () if state.shared else ("python", "-m", "engines", "recognise", step.labels.name, "photo.jpg")
    foot = view.foot(host.info, time.monotonic() - started_s, end="finished", command=command)
    yield view.results(head, (), foot=foot, end="finished"), False


def leave_one_out(labels: LabelSet) -> Counter[tuple[str, str | None]]:
    """How often (label, what it was recognised as by all other examples). The only example of its label is not
    tried."""
    counts = Counter(example.label for example in labels.examples)
    tried: Counter[tuple[str, str | None]] = Counter()
    for one in labels.examples:
        if counts[one.label] > 1:
            others = replace(labels, examples=tuple(each for each in labels.examples if each is not one))
            tried[one.label, recognise(others, one.vector).label] += 1
    return tried


def _recognise(state: AppState, session: str, head: str, cancel: Cancel) -> Frames:
    started_s, draft, host = time.monotonic(), state.label_store.draft(session), _host(state)
    if not draft.active:
        raise RequestError("label_set_needed", "Teach a label set first, or open one.")
    labels = state.label_store.sets(session).load(draft.active)
    files, cards = draft.queries, list[str]()
    for n, file in enumerate(files):
        yield view.results(head, cards, Progress("looking", n, len(files), "files")), True
        try:
            prediction = recognise_file(host, labels, file.path, cancel)
            near = [
                UploadedFile(Path(each.path), each.kind, _register(state, each.path)) for each, _ in prediction.nearest
            ]
            cards.append(view.card(file, prediction, near))
        except MediaError as error:
            cards.append(view.unread(file, error))
        except Cancelled:
            break
    end = "cancelled" if len(cards) < len(files) else "finished"
    foot = view.foot(host.info, time.monotonic() - started_s, end=end)
    yield view.results(head, cards, foot=foot, end=end), False


def open_set(state: AppState, session: str, name: str, lend: Callable[[Path], str]) -> tuple[str, list[str]]:
    """Open a set in the draft and activate it. Returns the result card and the labels. lend: path → the page's copy.

    Raises RequestError if there is no such set, CollectionError if it is damaged.
    """
    draft, labels = state.label_store.draft(session), state.label_store.sets(session).load(name)
    rows: dict[str, list[UploadedFile]] = {each: [] for each in labels.labels}
    for example in labels.examples:
        if Path(example.path).is_file():
            rows[example.label].append(inspect(state, Path(lend(Path(example.path)))))
        elif example.path:  # deleted since; teaching reports it among the files left out
            rows[example.label].append(UploadedFile(Path(example.path), None, _register(state, example.path)))
    draft.replace([tuple(row) for row in rows.values()])
    draft.activate(labels.name)
    draft.queries = ()
    head = view.label_set(labels, leave_one_out(labels), saved=state.downloads.add_labels(labels))
    try:
        check_digest(labels, _host(state).info.model_digest)
    except RequestError as error:
        head += view.warning(error)
    return view.results(head, (), end="finished"), list(labels.labels)


def inspect(state: AppState, path: Path) -> UploadedFile:
    """Find out the kind of a file by its content, and register it."""
    kind: Kind | None
    try:
        kind = probe(path).kind
    except MediaError:
        kind = None
    return UploadedFile(path, kind, state.downloads.add_file(path))


def _register(state: AppState, path: str) -> str:
    return state.downloads.add_file(Path(path)) if path else ""


def _host(state: AppState) -> Host:
    return state.host.serving(EmbedRequest)
