"""What a command is given to read: files, folders, glob patterns, and `-` for standard input.

A folder stands for the media files in it and in its folders, hidden ones left out; a file with an unusual ending is
judged by what it holds, and what is passed over is named. Standard input is either one media file or a list of paths,
one per line or separated by NUL (`find -print0`).
"""

from __future__ import annotations

import argparse
import glob
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePath

from engines.errors import MediaError
from engines.protocol import LANGUAGES

_HEAD_BYTES = 4096
"""Bytes of standard input from which a list of paths is distinguished from media."""
_LANGUAGE_NAMES = {
    "english": "en", "german": "de", "deutsch": "de", "french": "fr", "français": "fr", "francais": "fr",
    "chinese": "zh", "mandarin": "zh", "中文": "zh", "汉语": "zh", "普通话": "zh",
}  # fmt: skip
N_NAMED = 10
"""Files that are passed over and named on the terminal; further ones are counted."""


@dataclass(frozen=True)
class Input:
    """One file to read. name: as the person wrote it. output: where its output goes below the output folder, without
    a suffix; the files of a folder keep their place in it."""

    path: Path
    name: str
    output: PurePath


@dataclass(frozen=True)
class Inputs:
    """What was found, (name, sentence) for what was not, and the names of files in folders that were passed over."""

    found: tuple[Input, ...]
    missing: tuple[tuple[str, str], ...]
    passed: tuple[str, ...] = ()


@contextmanager
def gathered(words: Sequence[str], suffixes: Collection[str]) -> Iterator[Inputs]:
    """The files that `words` name. suffixes: of the files to take from folders. A media file from standard input lies
    in a temporary folder until the block ends."""
    found: dict[Path, Input] = {}
    missing: list[tuple[str, str]] = []
    passed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="fusion-studio-", ignore_cleanup_errors=True) as scratch:
        for word in words:
            sources = list(_standard_input(Path(scratch))) if word == "-" else [word]
            if not sources:
                missing.append((word, "nothing came on standard input"))
            if not word:  # an empty variable of a script; as a path it would be the current folder
                missing.append(('""', "an empty name names no file"))
                continue
            for source in sources:
                files = [source] if isinstance(source, Input) else list(_expanded(source, suffixes, passed))
                if not files:
                    missing.append((str(source), _absence(str(source))))
                for file in files:
                    found.setdefault(file.path.absolute(), file)
        yield Inputs(tuple(_told_apart(list(found.values()))), tuple(missing), tuple(passed))


def is_path(word: str) -> bool:
    """Whether a word is a path rather than text: the file exists, or the word looks like a path."""
    separators = tuple(filter(None, (os.sep, os.altsep)))
    written_so = word.startswith(("~", *(f".{sep}" for sep in separators), *separators)) or word[1:3] == ":\\"
    return written_so or (bool(word) and _exists(Path(word)))


def language(word: str) -> str:
    """The code of a language that is named in any case, by its code, with a region behind it or not (EN, zh-CN), or by
    its name; a word that names none stays as it is."""
    folded = word.strip().casefold()
    code = re.split("[-_]", folded)[0]
    return _LANGUAGE_NAMES.get(folded, code if code in LANGUAGES else word)


def named(word: str) -> Path:
    """The path that an option or argument names. Raises ArgumentTypeError where it is empty, as an empty variable of a
    script is: it would be the current folder."""
    if not word:
        raise argparse.ArgumentTypeError("an empty name names no file or folder")
    return Path(word).expanduser()


def media_in(folder: Path, suffixes: Collection[str]) -> Iterator[Path]:
    """Ordinary files with one of these suffixes in a folder and below, by name; hidden ones are left out."""
    from engines import media

    return (path for path in media.visible(folder) if path.suffix.lower() in suffixes and path.is_file())


def passed_over(names: Sequence[str], n: int) -> str:
    """The line about `n` skipped files, the first of which are `names`."""
    shown = [name.encode("utf-8", "replace").decode() for name in names[:N_NAMED]]
    return f"passed over {n} {'file' if n == 1 else 'files'}: {', '.join(shown)}{', ...' if n > len(shown) else ''}"


def _holds(path: Path, suffixes: Collection[str]) -> bool:
    """Whether a file whose ending says nothing holds what files with these suffixes do."""
    from engines import media

    kinds = {"photo": media.PHOTO_SUFFIXES, "sound": media.SOUND_SUFFIXES, "clip": media.CLIP_SUFFIXES}
    suffix = path.suffix.lower()
    if suffix in media.TEXT_SUFFIXES or any(suffix in kind for kind in kinds.values()):
        return False
    wanted = {kind for kind, of_kind in kinds.items() if of_kind <= frozenset(suffixes)}
    try:
        return bool(wanted) and media.may_hold_media(path) and media.probe(path).kind in wanted
    except MediaError:
        return False


def _expanded(word: str, suffixes: Collection[str], passed: list[str]) -> Iterator[Input]:
    from engines import media

    path = Path(word).expanduser()
    if path.is_dir():
        for file in media.visible(path):
            if (file.suffix.lower() in suffixes and file.is_file()) or _holds(file, suffixes):
                yield Input(file, str(file), file.relative_to(path).with_suffix(""))
            else:
                passed.append(file.name)
    elif _exists(path):
        yield Input(path, word, PurePath(path.stem))
    elif glob.has_magic(word):
        for match in sorted(glob.glob(str(path), recursive=True)):  # noqa: PTH207  # Path.glob takes no absolute ones
            if Path(match).is_dir():
                yield from _expanded(match, suffixes, passed)
            else:
                yield Input(Path(match), match, PurePath(Path(match).stem))


def _absence(word: str) -> str:
    path = Path(word).expanduser()
    if "://" in word:
        return "addresses are not fetched; download the file, or pipe it in (curl -s ADDRESS | ... -)"
    if path.is_dir():
        return "there are no media files in this folder"
    return "no file fits this pattern" if glob.has_magic(word) else "there is no such file"


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # too long for a name, or with a NUL in it
        return False


def _standard_input(scratch: Path) -> Iterator[str | Input]:
    """The paths that are listed there, or a copy of the media file that came."""
    stream = sys.stdin.buffer
    head = stream.read(_HEAD_BYTES)
    separator = _separator(head)
    if separator is not None:
        for name in (head + stream.read()).split(separator):
            if name.strip():
                yield os.fsdecode(name.rstrip(b"\r"))
    elif head:
        copy = scratch / "stdin"
        with copy.open("wb") as file:
            file.write(head)
            shutil.copyfileobj(stream, file)
        yield Input(copy, "stdin", PurePath("stdin"))


def _separator(head: bytes) -> bytes | None:
    """What separates paths in a list; None for a media file, as none of the formats begins with printable text only."""
    first = head.split(b"\0", 1)[0]
    if first != head and first and _exists(Path(os.fsdecode(first))):
        return b"\0"
    try:
        text = head[: head.rfind(b"\n") + 1 or len(head)].decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    is_text = bool(head) and all(sign.isprintable() or sign in "\r\n\t" for sign in text)
    return b"\n" if is_text or _exists(Path(os.fsdecode(head.split(b"\n", 1)[0]))) else None


def _told_apart(found: list[Input]) -> Iterator[Input]:
    """Inputs whose outputs would have the same name keep their suffix in it: talk.mp3.srt beside talk.wav.srt; those of
    the same name in several folders are numbered."""
    taken: dict[PurePath, int] = {}
    stems = [each.output for each in found]
    for each in found:
        output = each.output
        if stems.count(output) > 1:
            output = output.with_name(each.path.name)
        taken[output] = taken.get(output, 0) + 1
        if taken[output] > 1:
            output = output.with_name(f"{output.name} ({taken[output]})")
        yield Input(each.path, each.name, output)
