"""Bring a collection up to date with a folder; find in it what fits a query; put one thing into the shared space."""

from __future__ import annotations

import errno
import math
import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

import numpy as np

from engines import media as files
from engines.encoder import ASKED_S, WINDOW_S, Window, mean_window
from engines.errors import MediaError, Message, RequestError, printable
from engines.index import Collection, DamagedCollection, LanceCollection, Row, discard, open_collection
from engines.index.rows import Source
from engines.media import ocr
from engines.media.refusals import refusal
from engines.protocol import (
    EmbedRequest,
    EmbedResult,
    Hit,
    IndexRequest,
    IndexResult,
    Kind,
    Media,
    Metadata,
    Progress,
    Result,
    SearchRequest,
    SearchResult,
    Term,
    Why,
)
from engines.text import fold, fold_query
from engines.words import fit as words_fit
from engines.words import query_parts

INDEXED_SUFFIXES = files.PHOTO_SUFFIXES | files.SOUND_SUFFIXES | files.CLIP_SUFFIXES | files.TEXT_SUFFIXES
N_NAMED = 200
"""Skipped files that are named; further ones are counted."""
PARAGRAPH_LETTERS = 600
"""A text is searched in stretches of about this length, cut between paragraphs or lines."""
MOST_READ = 16
"""Frames of a clip in which written words are looked for; each takes about a second of a core."""
FITS = 0.5
"""Fit from which a part of a file counts as a reason for the hit."""
PARTS: Mapping[Kind, tuple[Source, ...]] = {"photo": ("written",), "clip": ("heard", "said", "written")}
"""What is searched of a medium beside the medium itself, where words are looked for."""
COMPARED_AS: Mapping[Source, Kind] = {"heard": "sound", "said": "speech", "written": "text"}
REASONS: Mapping[Kind, Why] = {
    "photo": "seen", "clip": "seen", "sound": "heard", "speech": "said", "text": "written",
}  # fmt: skip


R = TypeVar("R", bound=Result)
T = TypeVar("T")


class Space(Protocol):
    """Whatever places text and media where they can be compared: the built-in model's encoder, or a dual encoder."""

    @property
    def model_digest(self) -> str: ...

    def text_vector(self, text: str) -> np.ndarray:
        """(D,) float32 of length 1."""
        ...

    def query_vector(self, text: str, kind: Kind) -> np.ndarray:
        """What rows of a kind are compared with when a text is searched for: (D,) float32 of length 1."""
        ...

    def windows(self, media: Media, *, max_s: float | None = None) -> Iterator[Window | None]:
        """A medium in windows of some seconds, None while it is being decoded.

        max_s: leave out what begins later. Raises MediaError for what the model does not take.
        """
        ...

    def fit(self, score: float, query: Kind, row: Kind) -> float:
        """A cosine between two kinds as 0 to 1; below 0.5 it does not fit well."""
        ...

    def meaning(self, text: str) -> float:
        """How likely a text means anything, 0 to 1."""
        ...


@dataclass(frozen=True)
class Reading:
    """The outcome of reading one file: its rows and the digest of its bytes, or why it failed."""

    path: Path
    digest: str = ""
    rows: tuple[Row, ...] = ()
    metadata: Metadata | None = None
    failure: Message | None = None
    words_were_read: bool = False


Reader: TypeAlias = Callable[[Sequence[Path]], Iterator[Reading | None]]
"""Reads files, each once, in any order; yields None in between, so that the caller can do something else."""


def embed(space: Space, request: EmbedRequest) -> Iterator[EmbedResult]:
    """One vector; of long media that of their first minute."""
    shown = EmbedResult(request=request, progress=Progress("looking"))
    yield shown
    if isinstance(request.media, str):
        vector = space.query_vector(fold_query(request.media), request.against)
        yield EmbedResult(request=request, vector=vector, kind="text", end="finished")
        return
    window = yield from _point(space, request.media, shown)
    yield EmbedResult(request=request, vector=window.vector, kind=window.kind, end="finished")


def _meanwhile(shown: R, work: Generator[None, None, T]) -> Generator[R, None, T]:
    """Run work to its end, yielding `shown` meanwhile; returns its value."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            value: T = end.value
            return value
        yield shown


def _point(space: Space, media: Media, shown: R) -> Generator[R, None, Window]:
    """A whole medium as one point, of long media the first minute; yields what is shown meanwhile."""
    windows = []
    for window in space.windows(media, max_s=ASKED_S):
        if window is None:
            yield shown
        else:
            windows.append(window)
    return mean_window(windows)


# --- searching ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Part:
    """A term of a query in the shared space. vector: what rows of a kind are compared with. plain: the same without the
    name that a text may be. kind: of the term. words: of a text (`engines.words`). meaning: how likely it means
    anything, 0 to 1."""

    vector: np.ndarray
    plain: np.ndarray
    weight: float
    kind: Kind
    words: tuple[str, ...]
    meaning: float


@dataclass(frozen=True)
class _Find:
    """A row that was found. fit: 0 to 1. why: None where a file was looked for."""

    row: Row
    score: float
    fit: float
    why: Why | None


def search(space: Space, request: SearchRequest) -> Iterator[SearchResult]:
    """The best hits over all kinds asked for. "empty": the collection holds nothing of these kinds.

    Cosines of different kinds are not comparable, so each kind is searched by itself and the hits are ordered by how
    well they fit for their kind. Words that are looked for are also compared with the sound of clips, with what is said
    or written in a medium, and letter by letter with every text; what was found of one place in a file is one hit.
    Raises CollectionError where there is no collection, or one of another model.
    """
    shown = SearchResult(request=request, progress=Progress("searching"))
    yield shown
    with open_collection(request.collection, model_digest=space.model_digest) as collection:
        terms = request.query if isinstance(request.query, tuple) else (Term(request.query),)
        placed = []
        for term in terms:
            point = yield from _placed(space, term.media, shown)
            placed.append((point, term.weight))
        meanings = [space.meaning(point.text) if point.text else 1.0 for point, _ in placed]

        @cache
        def parts_for(kind: Kind) -> list[_Part]:
            return [
                _part(space, point, weight, meaning, kind)
                for (point, weight), meaning in zip(placed, meanings, strict=True)
            ]

        words = query_parts(" ".join(point.text for point, weight in placed if weight > 0.0))
        finds = []
        for kind in sorted(request.kinds):
            for source in ("", *(PARTS.get(kind, ()) if words else ())):
                parts = parts_for(COMPARED_AS.get(source, kind))
                vector = np.sum([part.weight * part.vector for part in parts], axis=0)
                vector = vector / max(float(np.linalg.norm(vector)), 1e-9)
                rows = collection.search(vector, kinds=frozenset({kind}), k=request.k, only=request.only, source=source)
                finds += [_find(space, parts, row, score) for row, score in rows]
        for row in collection.with_words(words, kinds=request.kinds, k=8 * request.k, only=request.only):
            parts = parts_for(_compared(row))
            finds.append(_find(space, parts, row, float(parts[0].vector @ row.vector)))
    hits = sorted(_hits(finds), key=lambda hit: (-hit.fit, -hit.score))
    yield SearchResult(request=request, hits=tuple(hits[: request.k]), end="finished" if hits else "empty")


def _placed(space: Space, query: Media | str, shown: R) -> Generator[R, None, Window]:
    if isinstance(query, str):
        text = fold_query(query)
        return Window("text", space.text_vector(text), text=text)
    window = yield from _point(space, query, shown)
    return window


def _part(space: Space, point: Window, weight: float, meaning: float, kind: Kind) -> _Part:
    """A term as rows of a kind are compared with it: a text may name what pictures show."""
    vector = space.query_vector(point.text, kind) if point.text else point.vector
    return _Part(vector, point.vector, weight, point.kind, query_parts(point.text), meaning)


def _compared(row: Row) -> Kind:
    """The kind that a row's vector is of."""
    return COMPARED_AS.get(row.source, row.kind)


def _find(space: Space, parts: Sequence[_Part], row: Row, score: float) -> _Find:
    """A row with how well it fits, and why."""
    kind = _compared(row)
    is_named = kind in ("photo", "clip") and any(
        part.weight > 0.0 and float((part.vector - part.plain) @ row.vector) > 0.0 for part in parts
    )
    why: Why | None = None
    if any(part.words for part in parts):
        why = "named" if is_named else REASONS[kind]
    return _Find(row, score, _fit(space, parts, row), why)


def _fit(space: Space, parts: Sequence[_Part], row: Row) -> float:
    """How well a row fits a mixed query, 0 to 1: the mean, weighted and geometric, of how well it fits what is wanted
    and how little what is taken away. Each part has the calibration of its own kind; what is seen or heard fits a text
    less where that rather means nothing, while spoken and written words may be of any kind, and fit where they hold the
    words of the text."""
    kind = _compared(row)
    total = sum(abs(part.weight) for part in parts)
    log = 0.0
    for part in parts:
        fit = space.fit(float(part.vector @ row.vector), part.kind, kind)
        if kind in ("photo", "clip", "sound"):
            fit *= min(1.0, 2.0 * part.meaning)
        elif part.words and row.text:
            fit = max(fit, words_fit(part.words, row.text))
        log += abs(part.weight) / total * math.log(max(fit if part.weight > 0.0 else 1.0 - fit, 1e-9))
    return math.exp(log)


def _hits(finds: Sequence[_Find]) -> Iterator[Hit]:
    """One hit for each place in a file, with every reason that by itself fits, the best first. Each paragraph of a text
    is a place."""
    places: dict[tuple[str, float, float, str], list[_Find]] = {}
    for find in sorted(finds, key=lambda find: (-find.fit, -find.score)):
        row = find.row
        places.setdefault((row.path, row.start_s, row.end_s, row.text if row.kind == "text" else ""), []).append(find)
    for found in places.values():
        best, row = found[0], found[0].row
        reasons = [find for find in found if find is best or find.fit >= FITS]
        why = tuple(dict.fromkeys(find.why for find in reasons if find.why is not None))
        text = next((find.row.text for find in reasons if find.row.text), "")
        yield Hit(Path(row.path), row.kind, best.score, best.fit, row.start_s, row.end_s, text, why)


# --- indexing ----------------------------------------------------------------------------------------------------


def index(space: Space, request: IndexRequest) -> Iterator[IndexResult]:
    """What changed under the folder since last time is read again, what is gone is taken out, the rest is left.

    Each file is written as a whole, so a stop loses at most the current file. Other folders in the same collection
    are left alone. A file that cannot be read becomes a failure with its reason. A folder may be one file, too. Of a
    folder, or one in it, that is empty now or cannot be listed nothing is taken out unless the request says `prune`:
    the disk may just not be mounted.
    """
    return update(request, space.model_digest, partial(read, space))


def update(request: IndexRequest, model_digest: str, reader: Reader) -> Iterator[IndexResult]:
    """Bring a collection up to date: `index` with any reader of files."""
    if not request.folder.exists():
        raise RequestError(
            "folder_missing", "The folder {name!r} does not exist; choose another.", name=request.folder.name
        )
    looking = IndexResult(request=request, progress=Progress("looking"))
    yield looking
    reads_words = ocr.is_installed()
    folder = request.folder.resolve() if request.folder.is_dir() else request.folder.absolute()
    found = yield from _meanwhile(looking, files.waited(lambda: _found(folder)))
    paths, passed = found.paths, found.passed
    changed: list[Path] = []
    n_added = n_unchanged = 0
    failures: tuple[tuple[str, Message], ...] = ()
    opened, renewed = _collection(request.collection, model_digest)
    with opened as collection:
        known = {path for path in collection.files() if Path(path).is_relative_to(folder)}
        gone = sorted(known - {str(path) for path in paths})
        may_be_unmounted = cache(found.may_be_unmounted)

        def may_return(path: Path) -> bool:
            places = (place for place in (path, *path.parents) if place.is_relative_to(folder))
            return not paths or any(map(may_be_unmounted, places))

        missing = [] if request.prune else [path for path in gone if may_return(Path(path))]
        gone = sorted(set(gone) - set(missing))
        collection.forget([Path(path) for path in gone])
        n_rows = collection.n_rows

        def result() -> IndexResult:
            return IndexResult(
                request=request,
                n_added=n_added,
                n_unchanged=n_unchanged,
                n_removed=len(gone),
                n_rows=n_rows,
                n_missing=len(missing),
                renewed=renewed,
                n_passed=len(passed),
                passed=passed[:N_NAMED],
                failures=failures,
                progress=Progress("reading", n_added + n_unchanged + len(failures), len(paths), "files"),
            )

        for path in paths:
            yield result()
            if collection.unchanged(path) and not (reads_words and _lacks_words(collection, path)):
                n_unchanged += 1
                if not collection.is_described(path):  # by an earlier version of this program
                    metadata = yield from _meanwhile(result(), files.waited(partial(metadata_of, path)))
                    collection.describe(path, metadata)
            else:
                changed.append(path)
        shown = result()
        for reading in reader(changed):
            if reading is None:
                yield shown
                continue
            if reading.failure is not None:
                collection.fail(reading.path, reading.failure.en)
                failures += ((printable(reading.path.name), reading.failure.printable()),)
            else:
                collection.put(
                    reading.path,
                    reading.digest,
                    reading.rows,
                    reading.metadata,
                    words_were_read=reading.words_were_read,
                )
                n_added += 1
            n_rows = collection.n_rows
            shown = result()
            yield shown
    notes = () if reads_words or not any(map(_may_have_words, paths)) else (ocr.missing(),)
    yield replace(result(), progress=None, end="finished" if n_rows else "empty", notes=notes)


def _may_have_words(path: Path) -> bool:
    """Whether a file looks like one with pictures in it."""
    return path.suffix.lower() in files.PHOTO_SUFFIXES | files.CLIP_SUFFIXES


def _lacks_words(collection: Collection | LanceCollection, path: Path) -> bool:
    """Whether a file was indexed before words could be read here."""
    return _may_have_words(path) and not collection.words_were_read(path)


def read(space: Space, paths: Sequence[Path]) -> Iterator[Reading | None]:
    """A `Reader`: one file after the other, here and now."""
    for path in paths:
        yield None
        try:
            rows = yield from _rows(space, path)
            digest = yield from files.waited(partial(files.content_digest, path))
            metadata = yield from files.waited(partial(metadata_of, path))
            reading = Reading(path, digest, rows, metadata, words_were_read=ocr.is_installed())
        except (MediaError, OSError, UnicodeError) as error:
            reason = error if isinstance(error, MediaError) else refusal("forbidden", path)
            reading = Reading(path, failure=reason.message)
        yield reading


def metadata_of(path: Path) -> Metadata:
    """What a file says about itself; nothing for text, and for a file that ends the process that reads it."""
    if path.suffix.lower() in files.TEXT_SUFFIXES:
        return Metadata()
    try:
        return files.load_metadata(path)
    except MediaError:
        return Metadata()


def _collection(where: Path | str, model_digest: str) -> tuple[Collection | LanceCollection, bool]:
    """The collection, created if it is missing, and whether it replaced one that was damaged or made by another
    model."""
    try:
        collection = open_collection(where, create=True)
        made_by = collection.model_digest
    except DamagedCollection:
        if isinstance(where, Path):
            discard(where)
        return open_collection(where, model_digest=model_digest, create=True), True
    if made_by != model_digest:
        collection.reset(model_digest)
    return collection, made_by not in ("", model_digest)


@dataclass(frozen=True)
class _Found:
    """What lies in a folder. paths: files that may hold media or text, by name; passed: names of the others; unlisted:
    folders that cannot be listed, and names that lead to a disk that does not answer; filled: folders with any file in
    them or below, where links lead."""

    paths: tuple[Path, ...]
    passed: tuple[str, ...] = ()
    unlisted: frozenset[Path] = frozenset()
    filled: frozenset[str] = frozenset()

    def may_be_unmounted(self, place: Path) -> bool:
        """Whether a folder is still there, but without any file, or cannot be listed."""
        return place in self.unlisted or (_is_folder(place) and os.path.realpath(place) not in self.filled)


def _found(folder: Path) -> _Found:
    """What lies in a folder and below.

    What is hidden is skipped, and so is a way back up. A file with another ending is judged by how it begins. What is
    no ordinary file (a pipe, a device) is never opened. A file given in place of a folder is found by itself.
    """
    if folder.is_file():
        return _Found((folder,))
    paths, passed = [], []
    filled, unlisted = set[Path](), set[Path]()
    for path in files.visible(folder, lambda error: unlisted.add(Path(error.filename))):
        if _is_out_of_reach(path):  # a folder whose disk does not answer looks like a file
            unlisted.add(path)
            continue
        filled.add(path.parent)
        if files.is_ordinary(path) and (path.suffix.lower() in INDEXED_SUFFIXES or files.may_hold_media(path)):
            paths.append(path)
        elif path.exists():
            passed.append(printable(path.name))
    filled |= {above for below in filled for above in below.parents if above.is_relative_to(folder)}
    return _Found(tuple(paths), tuple(passed), frozenset(unlisted), frozenset(map(os.path.realpath, filled)))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _is_out_of_reach(path: Path) -> bool:
    """Whether it cannot be said what a name leads to, though it is there."""
    try:
        path.stat()
    except OSError as error:
        return error.errno not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
    return False


def _rows(space: Space, path: Path) -> Generator[None, None, tuple[Row, ...]]:
    """All rows of a file; yields None meanwhile. Written words are read beside the model's work."""
    rows: list[Row] = []
    written: list[files.Words] = []
    with closing(_words(path)) as words:
        for window in _windows(space, path):
            if window is not None:
                span = window.start_s, window.end_s
                rows.append(Row(str(path), window.kind, *span, window.vector, window.text, window.source))
            written += [found for found in (next(words, None),) if found is not None]
            yield None
        for found in words:
            written += [] if found is None else [found]
            yield None
    places = [row for row in rows if not row.source]
    known = ""
    for found in written:
        text = fold("\n".join(found.lines))
        if not text or text == known:  # a clip that goes on showing it
            continue
        known = text
        middle_s = (found.start_s + found.end_s) / 2
        place = next((row for row in places if row.start_s <= middle_s < row.end_s), places[-1])
        for paragraph in _paragraphs(text):
            vector = space.text_vector(fold_query(paragraph))
            rows.append(Row(str(path), place.kind, place.start_s, place.end_s, vector, paragraph, "written"))
            yield None
    return tuple(rows)


def _words(path: Path) -> Generator[files.Words | None, None, None]:
    """What is written in a file, None while it is being read; nothing where it cannot be, for the rest of the file is
    searched without."""
    if ocr.is_installed() and path.suffix.lower() not in files.TEXT_SUFFIXES:
        try:
            yield from files.ahead(files.stream_words(path, step_s=WINDOW_S, most=MOST_READ))
        except MediaError:
            return


def _windows(space: Space, path: Path) -> Iterator[Window | None]:
    if path.suffix.lower() in files.TEXT_SUFFIXES:
        text = yield from files.waited(partial(files.load_text, path))
        for paragraph in _paragraphs(text):
            yield Window("text", space.text_vector(fold_query(paragraph)), text=paragraph)
    else:
        yield from space.windows(path)


def _paragraphs(text: str) -> Iterator[str]:
    """A text in stretches of about 600 letters."""
    held = ""
    for line in text.splitlines():
        for start in range(0, max(len(line), 1), PARAGRAPH_LETTERS):
            part = line[start : start + PARAGRAPH_LETTERS]
            if held.strip() and (not part.strip() or len(held) + len(part) > PARAGRAPH_LETTERS):
                if not part.strip() and len(held) < PARAGRAPH_LETTERS // 3:
                    held += "\n"
                    continue
                yield held.strip()
                held = ""
            held += part + "\n"
    if held.strip():
        yield held.strip()
