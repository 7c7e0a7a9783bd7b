"""translate: text, text files and subtitle files into another language."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePath

from engines import subtitle_files
from engines.cli.inputs import Input, is_path, language
from engines.cli.media import over_files
from engines.cli.outputs import add_output_options
from engines.cli.process import usage
from engines.errors import MediaError, RequestError
from engines.protocol import LANGUAGES, Host, Progress, Result, TranslateRequest, TranslateResult
from engines.text import language_of

_LANGUAGES = ", ".join(LANGUAGES)
_SUFFIXES = frozenset((".txt", ".md", *subtitle_files.SUFFIXES))
_TEXT_LENGTH = 20_000
"""Characters that one request takes."""


def translate_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "texts",
        nargs="+",
        metavar="TEXT",
        help="text, text or subtitle files (srt, vtt, ass, lrc), folders, or - for standard input",
    )
    sub.add_argument("--from", dest="source", type=language, metavar="LANGUAGE", help=f"{_LANGUAGES} (default: told by "
                     "the text)")  # fmt: skip
    sub.add_argument("--to", dest="target", type=language, required=True, metavar="LANGUAGE", help=_LANGUAGES)
    add_output_options(sub, ("txt", "json"))


def translate(options: argparse.Namespace) -> int:
    """Files are written as NAME.LANGUAGE.txt where a folder is named; subtitles, cue by cue, as NAME.LANGUAGE.srt."""
    with usage():
        TranslateRequest(
            text="?", source=options.source or ("en" if options.target != "en" else "de"), target=options.target
        )

    def ask(host: Host, source: Input) -> Iterator[Result]:
        text = written[source] if source in written else _read_text(source.path)
        language = options.source or language_of(text)
        if language is None:
            raise RequestError("cli_source", "The language of this text is not clear; name it with --from.")
        return _translated(host, text, language, options.target)

    def suffix(source: Input, form: str) -> str:
        own = source.path.suffix.lower()
        keeps = form == "txt" and own in subtitle_files.SUFFIXES and source not in written
        return f"{options.target}{own}" if keeps else f"{options.target}.{form}"

    written: dict[Input, str] = {}
    words = []
    for word in options.texts:
        if word == "-":
            written[Input(Path("stdin"), "stdin", PurePath("stdin"))] = _standard_text()
        elif is_path(word):
            words.append(word)
        else:
            written[Input(Path(word), word, PurePath(f"text {len(written) + 1}"))] = word
    return over_files(options, ask, ("translate",), {"txt": _text}, words, _SUFFIXES, tuple(written), suffix)


def _translated(host: Host, text: str, source: str, target: str) -> Iterator[Result]:
    """A text of any length, paragraph by paragraph, subtitles cue by cue."""
    whole = TranslateRequest(text=text[:_TEXT_LENGTH], source=source, target=target)
    suffix = subtitle_files.form(text)
    if suffix is None and len(text) <= _TEXT_LENGTH and "\n" not in text.strip():
        yield from host.stream(whole)
        return
    last: list[TranslateResult] = []

    def part(words: str) -> Iterator[str]:
        for result in host.stream(TranslateRequest(text=words, source=source, target=target)):
            assert isinstance(result, TranslateResult)
            if result.done:
                last.append(result)
            yield result.text

    by_cues = suffix and subtitle_files.translated(text, suffix, source, target, part)
    for translation, share in by_cues or _by_lines(text, part):
        yield TranslateResult(request=whole, text=translation, progress=Progress("translating", share, 1.0))
    if last:
        yield replace(_summary(last), request=whole, text=translation)


def _by_lines(text: str, translate: subtitle_files.Translate) -> Iterator[tuple[str, float]]:
    """A text line by line; empty lines stay where they are."""
    lines: list[str] = []
    n_read = 0
    for line in text.splitlines():
        for start in range(0, max(1, len(line)), _TEXT_LENGTH):
            part = line[start : start + _TEXT_LENGTH]
            lines.append("")
            if part.strip():
                for lines[-1] in translate(part):
                    yield "\n".join(lines), n_read / len(text)
            n_read += len(part)
    yield "\n".join(lines), 1.0


def _summary(parts: list[TranslateResult]) -> TranslateResult:
    """The last result of a text, as sure as its parts are by their length, and unsure where most of it is."""
    known = [(len(part.text), part.confidence) for part in parts if part.confidence is not None]
    n_known = sum(n for n, _ in known)
    return replace(
        parts[-1],
        confidence=sum(n * confidence for n, confidence in known) / n_known if n_known else None,
        unsure=sum(len(part.text) for part in parts if part.unsure) * 2 > n_known > 0,
        seconds=sum(part.seconds for part in parts),
        progress=None,
    )


def _text(result: TranslateResult) -> str:
    if subtitle_files.form(result.text) is not None:
        return result.text
    return f"{result.text or '(nothing to say)'}{'  (not sure)' if result.unsure else ''}\n"


def _standard_text() -> str:
    from engines.media.texts import decoded

    return decoded(sys.stdin.buffer.read()) or ""


def _read_text(path: Path) -> str:
    from engines.media.opening import open_file
    from engines.media.texts import decoded

    with open_file(path) as file:
        text = decoded(file.read())
    if text is None:
        raise MediaError("cli_no_text", "{name} holds no text.", name=path.name)
    return text
