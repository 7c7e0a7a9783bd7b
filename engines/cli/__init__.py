"""The command line: one sub-command per request.

    python -m engines caption photo.jpg --language de
    python -m engines transcribe talk.mp3 --format srt > talk.srt
    python -m engines ask clip.mp4 "What can be heard?" --json
    python -m engines index ~/Pictures pictures.db
    python -m engines index /archive s3://bucket/archive --processes 8
    python -m engines search pictures.db "a dog on the beach"
    python -m engines teach Pets cat=a.jpg,b.jpg dog=c.jpg
    python -m engines recognise Pets new.jpg

The answer goes to standard output; what is under way is shown on a terminal only. Exit codes: 0 done, 1 a sentence on
standard error says what to do, 2 wrong usage, 130 stopped with Ctrl-C.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from engines import subtitles
from engines.errors import RequestError, UserError
from engines.hosts import open_host
from engines.lab import commands as labelling
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
    IndexRequest,
    IndexResult,
    Request,
    Result,
    SearchRequest,
    SearchResult,
    TranscribeRequest,
    TranscribeResult,
    TranslateRequest,
    TranslateResult,
)
from engines.report import to_json
from engines.settings import Settings

Opener = Callable[[str, Settings], Host]


def main(argv: Sequence[str] | None = None, *, opener: Opener = open_host) -> int:
    """Run one command and return its exit code. argv: the command and its arguments, without the program's name."""
    options = _parser().parse_args(argv)
    host: Host | None = None
    try:
        if options.make is None:
            return options.act(options, partial(opener, options.model, Settings(device=options.device)), _Line().show)
        request: Request = options.make(options)
        if isinstance(request, IndexRequest) and options.processes > 1:
            from engines.tasks import crowd

            alone = Settings(device=options.device, n_threads=1)
            result = _followed(crowd.index(partial(opener, options.model, alone), request, options.processes))
        else:
            host = opener(options.model, Settings(device=options.device))
            result = _followed(host.stream(request))
    except UserError as error:
        print(error.en, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    finally:
        if host is not None:
            host.close()
    if options.json:
        print(json.dumps(to_json(result), ensure_ascii=False))
    else:
        print(_shown(result, getattr(options, "format", "txt")))
        if result.end == "cut":
            print("the text breaks off here: this model writes no more at a time", file=sys.stderr)
    return 0


def _followed(results: Iterator[Result]) -> Result:
    """The last result of a request; on a terminal, what is made meanwhile stands on one line of standard error."""
    line = _Line()
    last: Result | None = None
    for last in results:
        line.show(_glimpse(last))
    line.show("")
    assert last is not None, "a stream ends with a result"
    return last


class _Line:
    """One line on a terminal, written over again and again; nothing where standard error is no terminal."""

    def __init__(self) -> None:
        self._width = shutil.get_terminal_size().columns if sys.stderr.isatty() else 0

    def show(self, text: str) -> None:
        if self._width:
            n_letters = (self._width - 1) // 2 if text and not text.isascii() else self._width - 1
            sys.stderr.write(f"\r\x1b[K{text[-n_letters:]}")
            sys.stderr.flush()


def _glimpse(result: Result) -> str:
    """What is worth seeing of a result on the way, in one line."""
    text = " ".join(str(getattr(result, "text", "")).split())
    progress = result.progress
    if progress is None:
        return text
    share = f" {progress.done:.0f} of {progress.total:.0f} {progress.unit}" if progress.total > 1.0 else ""
    return f"[{progress.stage}{share}] {text}"


def _shown(result: Result, form: subtitles.Format) -> str:
    """The last result for a person to read."""
    match result:
        case TranscribeResult() if form != "txt" or result.segments:
            target = result.request.translate_to if isinstance(result.request, TranscribeRequest) else None
            return subtitles.write(result.segments, form, text="original" if target is None else "translation").rstrip(
                "\n"
            )
        case TranscribeResult():
            return "(no speech)"
        case CaptionResult() | TranslateResult():
            return result.text or "(nothing to say)"
        case AskResult(end="empty"):
            return "(nothing to hear)"
        case AskResult():
            about = [f"{result.confidence:.0%} sure"] if result.confidence > 0.0 else []  # most models do not tell
            about += [f"{sense} {share:.0%}" for sense, share in result.senses]
            about += [f"at {moment_s:.1f} s" for moment_s in result.moments_s]
            return (result.text or "(nothing to say)") + (f"  ({', '.join(about)})" if about else "")
        case EmbedResult():
            return f"{result.kind}: " + " ".join(f"{value:.4f}" for value in result.vector)
        case IndexResult():
            counts = f"{result.n_added} added, {result.n_unchanged} unchanged, {result.n_removed} removed"
            failures = [f"{name}: {sentence}" for name, sentence in result.failures]
            return "\n".join([f"{counts}; {result.n_rows} rows in all", *failures])
        case SearchResult():
            lines = [f"{hit.fit:4.0%}  {hit.kind:6}  {hit.path}{_span(hit.start_s, hit.end_s)}" for hit in result.hits]
            return "\n".join(lines) or "(nothing found)"
    raise TypeError(f"no way to show a {type(result).__name__}")


def _span(start_s: float, end_s: float) -> str:
    return f"  {start_s:.0f}-{end_s:.0f} s" if end_s > 0.0 else ""


# --- arguments to requests ---------------------------------------------------------------------------------------


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m engines", description="Ask the model from the command line.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        name: str, line: str, make: Callable[[argparse.Namespace], Request] | None = None
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=line, description=line)
        sub.set_defaults(make=make)
        sub.add_argument("--json", action="store_true", help="print the result as one JSON object")
        sub.add_argument(
            "--device", default="auto", help="auto, cpu, cuda or cuda:n (default: auto, a CUDA card if any)"
        )
        model = "builtin, a folder with a checkpoint, a name on the hub, or the address of a server (default: builtin)"
        sub.add_argument("--model", default="builtin", help=model)
        return sub

    sub = command("caption", "Say in one sentence what a photo, clip or sound shows.", _caption)
    sub.add_argument("file", type=Path)
    sub.add_argument("--language", default="en", help=f"{', '.join(LANGUAGES)} (default: en)")

    sub = command("transcribe", "Write down what is said in a sound or clip.", _transcribe)
    sub.add_argument("file", type=Path)
    sub.add_argument("--language", help="what is spoken (default: found out)")
    sub.add_argument("--translate-to", help="also put each segment into this language")
    sub.add_argument("--format", choices=("txt", "srt", "vtt", "json"), default="txt", help="(default: txt)")

    sub = command("translate", "Put text into another language.", _translate)
    sub.add_argument("text", help="the text, or - to read it from standard input")
    sub.add_argument("--from", dest="source", required=True, metavar="LANGUAGE", help=", ".join(LANGUAGES))
    sub.add_argument("--to", dest="target", required=True, metavar="LANGUAGE", help=", ".join(LANGUAGES))

    sub = command("ask", "Answer a question about a clip, photo or sound.", _ask)
    sub.add_argument("file", type=Path)
    sub.add_argument("question")
    sub.add_argument("--language", default="en", help=f"of the answer: {', '.join(LANGUAGES)} (default: en)")
    sub.add_argument("--hide", action="append", default=[], metavar="SENSE", help="take picture or sound away")

    sub = command("index", "Bring a collection up to date with the files under a folder.", _index)
    sub.add_argument("folder", type=Path)
    sub.add_argument("collection", type=_where, help="a file or s3://bucket/prefix, made if it is not there")
    sub.add_argument("--processes", type=int, default=1, help="how many read files at the same time (default: 1)")

    sub = command("search", "Find what fits a text or a file best.", _search)
    sub.add_argument("collection", type=_where, help="a file or address that `index` made")
    _add_query(sub)
    sub.add_argument("--kinds", default=",".join(KINDS), help=f"of hits, with commas (default: {','.join(KINDS)})")
    sub.add_argument("-k", type=int, default=12, help="how many hits (default: 12)")

    _add_query(command("embed", "Put a text or a file into the space all senses share.", _embed))

    labelling.add(command)
    return parser


def _add_query(sub: argparse.ArgumentParser) -> None:
    query = sub.add_mutually_exclusive_group(required=True)
    query.add_argument("text", nargs="?")
    query.add_argument("--file", type=Path)


def _caption(options: argparse.Namespace) -> CaptionRequest:
    return CaptionRequest(media=options.file, language=options.language)


def _transcribe(options: argparse.Namespace) -> TranscribeRequest:
    return TranscribeRequest(media=options.file, language=options.language, translate_to=options.translate_to)


def _translate(options: argparse.Namespace) -> TranslateRequest:
    text = sys.stdin.read() if options.text == "-" else options.text
    return TranslateRequest(text=text, source=options.source, target=options.target)


def _ask(options: argparse.Namespace) -> AskRequest:
    return AskRequest(
        media=options.file, question=options.question, language=options.language, hide=frozenset(options.hide)
    )


def _where(text: str) -> Path | str:
    return text if "://" in text else Path(text)


def _index(options: argparse.Namespace) -> IndexRequest:
    if options.processes < 1:
        raise RequestError(
            "no_processes", "{processes} processes read nothing; choose 1 or more.", processes=options.processes
        )
    return IndexRequest(folder=options.folder, collection=options.collection)


def _search(options: argparse.Namespace) -> SearchRequest:
    kinds = frozenset(kind.strip() for kind in options.kinds.split(",") if kind.strip())
    return SearchRequest(
        query=options.file if options.text is None else options.text,
        collection=options.collection,
        kinds=kinds,
        k=options.k,
    )


def _embed(options: argparse.Namespace) -> EmbedRequest:
    return EmbedRequest(media=options.file if options.text is None else options.text)
