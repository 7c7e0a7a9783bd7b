"""caption, transcribe, ask and embed: one request for each input, one model for all of them."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path, PurePath
from typing import TypeAlias

from engines import subtitles
from engines.cli import process
from engines.cli.inputs import Input, gathered, is_path, language, media_in, named, passed_over
from engines.cli.models import open_for
from engines.cli.outputs import Meter, Output, Render, Suffix, add_output_options
from engines.cli.process import WrongUsage, usage
from engines.errors import MediaError, RequestError, UserError
from engines.folders import Stamp, looks
from engines.protocol import (
    KINDS,
    LANGUAGES,
    AskRequest,
    AskResult,
    CaptionRequest,
    CaptionResult,
    EmbedRequest,
    EmbedResult,
    Host,
    Result,
    TranscribeRequest,
    TranscribeResult,
)

logger = logging.getLogger(__name__)

Ask: TypeAlias = Callable[[Host, Input], Iterator[Result]]
"""The results of one input, the last of which has an `end`."""

_FILES = "files, folders, glob patterns, or - for standard input: one media file, or a list of paths"
_LANGUAGES = ", ".join(LANGUAGES)


# --- caption -----------------------------------------------------------------------------------------------------


def _track_argument(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--track", type=int, default=0, metavar="N", help="which sound track to hear, where a file has "
                     "several (default: the file's own choice)")  # fmt: skip


def caption_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("files", nargs="+", metavar="FILE", help=_FILES)
    sub.add_argument("--language", type=language, default="en", help=f"{_LANGUAGES} (default: en)")
    _track_argument(sub)
    add_output_options(sub, ("txt", "json"))


def caption(options: argparse.Namespace) -> int:
    def request(path: Path) -> CaptionRequest:
        return CaptionRequest(media=path, language=options.language, track=options.track)

    with usage():  # a wrong language is said before a model is opened
        request(Path())
    return over_files(options, lambda host, source: host.stream(request(source.path)), ("caption",), {"txt": _text})


# --- transcribe --------------------------------------------------------------------------------------------------


def transcribe_arguments(sub: argparse.ArgumentParser) -> None:
    timed = ", ".join(subtitles.TIMED_WORDS)
    sub.add_argument("files", nargs="*", metavar="FILE", help=_FILES)
    sub.add_argument("--language", type=language, help=f"what is spoken: {_LANGUAGES} (default: detected)")
    sub.add_argument("--translate-to", type=language, metavar="LANGUAGE", help="also translate each segment into this "
                     "language")  # fmt: skip
    sub.add_argument("--text", choices=subtitles.TEXTS, help="what is written when translating (default: translation)")
    sub.add_argument("--words", action="store_true", help=f"mark when each word is said ({timed})")
    _track_argument(sub)
    sub.add_argument("--watch", type=named, metavar="FOLDER", help="transcribe what arrives there, until Ctrl-C")
    add_output_options(sub, subtitles.FORMATS)


def transcribe(options: argparse.Namespace) -> int:
    def ask(host: Host, source: Input) -> Iterator[Result]:
        return host.stream(_transcription(options, source.path))

    with usage():
        _transcription(options, Path())
    if options.text in ("translation", "both") and options.translate_to is None:
        raise WrongUsage("cli_text", "--text {text} needs a language; add --translate-to.", text=options.text)
    text: subtitles.Text = options.text or ("original" if options.translate_to is None else "translation")

    def written_as(form: subtitles.Format) -> Render:
        def render(result: TranscribeResult) -> str:
            if form == "txt" and not result.segments:
                return "" if options.output_dir is not None else "(no speech)\n"
            return subtitles.write(result.segments, form, text=text, words=options.words)

        return render

    renders: dict[str, Render] = {form: written_as(form) for form in subtitles.FORMATS}
    tasks = ("transcribe",) if options.translate_to is None else ("transcribe", "translate")
    if options.watch is not None:
        return _watch(options, ask, tasks, renders)
    if not options.files:
        raise WrongUsage("cli_no_files", "Name files to transcribe, or a folder to watch with --watch.")
    return over_files(options, ask, tasks, renders)


def _transcription(options: argparse.Namespace, path: Path) -> TranscribeRequest:
    return TranscribeRequest(
        media=path, language=options.language, translate_to=options.translate_to, track=options.track
    )


# --- ask ---------------------------------------------------------------------------------------------------------


def ask_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("files", nargs="+", metavar="FILE", help=_FILES)
    sub.add_argument("question", help="the question, asked of every file")
    sub.add_argument("--language", type=language, default="en", help=f"of the answer: {_LANGUAGES} (default: en)")
    sub.add_argument("--hide", action="append", default=[], choices=("picture", "sound"), help="leave one modality out")
    _track_argument(sub)
    add_output_options(sub, ("txt", "json"))


def ask(options: argparse.Namespace) -> int:
    def request(path: Path) -> AskRequest:
        return AskRequest(
            media=path,
            question=options.question,
            language=options.language,
            hide=frozenset(options.hide),
            track=options.track,
        )

    with usage():
        request(Path())
    return over_files(options, lambda host, source: host.stream(request(source.path)), ("ask",), {"txt": _answer})


# --- embed -------------------------------------------------------------------------------------------------------


def embed_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("inputs", nargs="*", metavar="INPUT", help=f"text, or {_FILES}")
    sub.add_argument("--file", action="append", default=[], metavar="FILE", help="a file, whatever its name looks like")
    sub.add_argument("--against", choices=KINDS, default="photo", help="what texts are compared with (default: photo)")
    add_output_options(sub, ("txt", "json"))


def embed(options: argparse.Namespace) -> int:
    texts = {Input(Path(word), word, PurePath(f"text {n}")): word for n, word in enumerate(options.inputs, 1)
             if word != "-" and not is_path(word)}  # fmt: skip
    words = [word for word in options.inputs if word not in texts.values()] + options.file
    if not (texts or words):
        raise WrongUsage("cli_no_inputs", "Name a text or a file.")

    def ask(host: Host, source: Input) -> Iterator[Result]:
        return host.stream(EmbedRequest(media=texts.get(source, source.path), against=options.against))

    return over_files(options, ask, ("search",), {"txt": _vector}, words, None, tuple(texts))


# --- the run over all inputs -------------------------------------------------------------------------------------


def over_files(
    options: argparse.Namespace,
    ask: Ask,
    tasks: Sequence[str],
    renders: dict[str, Render],
    words: Sequence[str] | None = None,
    suffixes: frozenset[str] | None = None,
    texts: tuple[Input, ...] = (),
    suffix: Suffix = lambda _, form: form,
) -> int:
    """Ask about every input with one model; returns the exit code. words: what is to be read, by default the files of
    the command. suffixes: what to take from a folder, by default media that the task can read. suffix: of the files
    that are written."""
    with gathered(options.files if words is None else words, suffixes or _suffixes(tasks[0])) as inputs:
        n_inputs = len(inputs.found) + len(inputs.missing) + len(texts)
        output = Output(options, renders, n_inputs, suffix, [source.path for source in inputs.found])
        for name, sentence in inputs.missing:
            output.fail(name, sentence)
        if inputs.passed and not options.quiet:
            print(passed_over(inputs.passed, len(inputs.passed)), file=sys.stderr)
        todo = [*texts, *inputs.found]
        if getattr(options, "resume", False):
            n_before = len(todo)
            todo = [source for source in todo if not output.is_done(source)]
            if n_before > len(todo):
                logger.info("%d of %d inputs are done already", n_before - len(todo), n_before)
        n_failed = _run(options, ask, tasks, output, todo, len(todo)) if todo else 0
        return 1 if n_failed or inputs.missing else 0


def _run(
    options: argparse.Namespace, ask: Ask, tasks: Sequence[str], output: Output, sources: Iterable[Input], total: int
) -> int:
    """Ask about the inputs one after the other; returns how many failed."""
    n_failed = 0
    with closing(open_for(options, *tasks)) as host, Meter(options, total) as meter:
        for source in sources:
            meter.begin(source.name)
            try:
                last: Result | None = None
                for last in ask(host, source):
                    meter.show(last)
                with meter.aside():
                    _deliver(output, source, last, quiet=options.quiet)
            except (MediaError, RequestError) as error:
                n_failed += 1
                with meter.aside():
                    output.fail(source.name, error.en)
            except (UserError, BrokenPipeError):  # the device, the model or the output: the next file would fare alike
                raise
            except Exception as error:
                # the edge of the program: a defect on one file must not cost the other thousand
                if isinstance(error, OSError) and process.is_of_output(error):
                    raise
                logger.debug("%s failed", source.name, exc_info=True)
                if options.verbose:
                    logger.exception("%s failed", source.name)
                n_failed += 1
                with meter.aside():
                    output.fail(source.name, f"this failed unexpectedly ({error!r}); --verbose shows where")
            meter.done()
    if output.n_files and not options.quiet:
        print(f"{output.n_files} files written", file=sys.stderr)
    return n_failed


def _deliver(output: Output, source: Input, result: Result | None, *, quiet: bool) -> None:
    if result is None:
        raise RequestError("cli_nothing", "there is nothing in it.")
    output.put(source, result)
    for note in () if quiet else getattr(result, "notes", ()):
        print(f"{source.name}: {note.en}", file=sys.stderr)
    if result.end == "cut":
        print(f"{source.name}: the text breaks off here; this model writes no more at a time", file=sys.stderr)


def _suffixes(task: str) -> frozenset[str]:
    from engines import media

    heard = media.SOUND_SUFFIXES | media.CLIP_SUFFIXES
    return heard if task == "transcribe" else heard | media.PHOTO_SUFFIXES


# --- watching a folder -------------------------------------------------------------------------------------------


def _watch(options: argparse.Namespace, ask: Ask, tasks: Sequence[str], renders: dict[str, Render]) -> int:
    """Transcribe what lies in a folder and what arrives there, until Ctrl-C ends it."""
    if options.files:
        raise WrongUsage("cli_watch_files", "Name either files or a folder to watch, not both.")
    if not options.watch.is_dir():
        raise RequestError("cli_watch", "There is no folder {path} to watch.", path=options.watch)
    output = Output(options, renders, 2)
    arrivals = arriving(options.watch, _suffixes("transcribe"), time.sleep)
    _run(options, ask, tasks, output, (source for source in arrivals if not output.is_done(source)), 0)
    return 0


def arriving(folder: Path, suffixes: frozenset[str], sleep: Callable[[float], object]) -> Iterator[Input]:
    """Files in a folder, each once its size and time have stayed the same from one look to the next; without end.

    A file that is overwritten is taken again. Of two files with one stem the later one keeps its suffix in its output.
    """
    taken: dict[Path, Stamp] = {}
    owners: dict[PurePath, Path] = {}
    for look in looks(lambda: media_in(folder, suffixes), sleep):
        for path, stamp in look.settled.items():
            if taken.get(path) != stamp:
                taken[path] = stamp
                whole = path.relative_to(folder)
                output = whole.with_suffix("")
                yield Input(path, str(path), output if owners.setdefault(output, path) == path else whole)


# --- results as text ---------------------------------------------------------------------------------------------


def _text(result: CaptionResult) -> str:
    return f"{result.text or '(nothing to say)'}{_doubt(result)}\n"


def _answer(result: AskResult) -> str:
    if result.end == "empty":
        return "(nothing to hear)\n"
    about = [f"{result.confidence:.0%} sure"] if result.confidence > 0.0 else []  # most models do not tell
    about += [f"{modality} {share:.0%}" for modality, share in result.modalities]
    about += [f"at {moment_s:.1f} s" for moment_s in result.moments_s]
    return (result.text or "(nothing to say)") + (f"  ({', '.join(about)})" if about else "") + _doubt(result) + "\n"


def _vector(result: EmbedResult) -> str:
    return f"{result.kind}: {' '.join(f'{value:.4f}' for value in result.vector)}\n"


def _doubt(result: CaptionResult | AskResult) -> str:
    """What is printed beside a result that is probably wrong: its best guesses, if any."""
    if not result.unsure:
        return ""
    return f"  (not sure: {'? '.join(result.guesses)}?)" if result.guesses else "  (not sure)"
