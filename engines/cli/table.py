"""The table of commands: name, help, arguments, function."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from engines import __version__
from engines.cli import history, labels, media, search
from engines.cli.translate import translate, translate_arguments


@dataclass(frozen=True)
class Command:
    """One command. arguments adds its own to the common ones; run gets the parsed options and returns the exit code.

    program: in place of both, for a command with a parser of its own: it is given the rest of the command line.
    """

    name: str
    help: str
    arguments: Callable[[argparse.ArgumentParser], None] | None = None
    run: Callable[[argparse.Namespace], int] | None = None
    program: Callable[[Sequence[str]], int] | None = None


# --- commands with a parser of their own ---------------------------------------------------------------------------


def _serve(argv: Sequence[str]) -> int:
    """The page in the browser."""
    from studio import cli

    return cli.main(["serve", *argv], "fusion-studio")


def _lab(argv: Sequence[str]) -> int:
    """An experiment of the Lab, or a kept run again."""
    from engines.lab.__main__ import main

    return main(argv, f"{program_name()} lab")


def _train(argv: Sequence[str]) -> int:
    """One stage of the training."""
    from engines.training.train import main

    main(argv, f"{program_name()} train")
    return 0


def _evaluate(argv: Sequence[str]) -> int:
    """The tables of figures."""
    from engines.evaluation.__main__ import main

    return main(argv, program=f"{program_name()} evaluate")


def _publish(argv: Sequence[str]) -> int:
    """A model folder on the Hugging Face hub."""
    from engines.hosts import publish as publishing

    return publishing.main(list(argv), program_name())


# --- the table -----------------------------------------------------------------------------------------------------

COMMANDS = (
    Command("serve", "Open the page in the browser.", program=_serve),
    Command("caption", "Describe photos, clips or sounds.", media.caption_arguments, media.caption),
    Command("transcribe", "Write down what is said in sounds or clips.", media.transcribe_arguments, media.transcribe),
    Command("translate", "Translate text, text files or subtitles.", translate_arguments, translate),
    Command("ask", "Ask a question about clips, photos or sounds.", media.ask_arguments, media.ask),
    Command("embed", "Print the vectors of texts or files.", media.embed_arguments, media.embed),
    Command("index", "Bring a search collection up to date with a folder.", search.index_arguments, search.index),
    Command("search", "Find what fits a text, a file or a mixture of both.", search.search_arguments, search.search),
    Command("map", "Lay a collection out, alike files together.", search.map_arguments, search.map_collection),
    Command("duplicates", "List files of a collection that are alike.", search.duplicates_arguments, search.duplicates),
    Command("teach", "Learn labels from a few examples of each.", labels.teach_arguments, labels.teach),
    Command("recognise", "Name files by labels that were taught.", labels.recognise_arguments, labels.recognise),
    Command("labels", "List, rename or delete label sets.", labels.labels_arguments, labels.labels),
    Command("history", "List, show or delete what the page has answered.", history.history_arguments, history.history),
    Command("lab", "Run an experiment of the Lab.", program=_lab),
    Command("train", "Train the model by a recipe.", program=_train),
    Command("evaluate", "Measure a model on data sets.", program=_evaluate),
    Command("publish", "Publish a model folder on the Hugging Face hub.", program=_publish),
)  # fmt: skip
"""Every command, in the order in which --help lists them."""

COMMON_FLAGS = ("-q", "--quiet", "-v", "--verbose")
"""These may stand before the command, too."""

_MODEL = """the model: builtin, a folder with a checkpoint, a name on the Hugging Face hub, or the address of an
OpenAI-compatible server (default: builtin). With a task in front it counts for that task only: search, transcribe,
translate, ask or caption. May be repeated"""
_EXIT_CODES = """\
exit codes:
  0    done
  1    something failed; standard error says what, everything else is done
  2    wrong usage
  130  stopped with Ctrl-C
  141  whatever read the output has gone away

Run `{program} COMMAND --help` for the options of a command."""


def program_name() -> str:
    """How this program was started, as a person would type it again."""
    name = Path(sys.argv[0]).name
    return {"launch.py": "python launch.py", "__main__.py": "python -m engines"}.get(name, "fusion-studio")


def parser() -> argparse.ArgumentParser:
    """The parser of the whole program: the list of commands, --version, and the error for anything else."""
    program = program_name()
    top = argparse.ArgumentParser(
        program,
        description="Search, transcribe, translate, ask about and caption media with one model on this machine.",
        epilog=_EXIT_CODES.format(program=program),
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=18),
    )
    top.add_argument("--version", action="version", version=f"fusion-studio {__version__}")
    listed = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in COMMANDS:
        listed.add_parser(command.name, help=command.help, add_help=False)
    return top


_PLAIN = "\0"
"""Stands before a word that is no option whatever it begins with; no word of a command line has it."""


class _Parser(argparse.ArgumentParser):
    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        return super()._get_value(action, arg_string.removeprefix(_PLAIN))


def plain_after_dashes(words: Sequence[str]) -> list[str]:
    """The words of a command for `command_parser`: what comes after `--` is no option. argparse knows that, too, but
    forgets it where options and files may be mixed (Python 3.11)."""
    if "--" not in words:
        return list(words)
    at = words.index("--")
    return [*words[:at], *(_PLAIN + word for word in words[at + 1 :])]


def command_parser(command: Command) -> argparse.ArgumentParser:
    """The parser of one command that has no program of its own."""
    sub = _Parser(f"{program_name()} {command.name}", description=command.help)
    assert command.arguments is not None
    command.arguments(sub)
    sub.add_argument("--model", action="append", default=[], metavar="[TASK=]NAME", help=_MODEL)
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto, a CUDA card if any)")
    sub.add_argument("--json", action="store_true", help="print one JSON object a line, as results come")
    loudness = sub.add_mutually_exclusive_group()
    loudness.add_argument("-q", "--quiet", action="store_true", help="no progress, only results and failures")
    loudness.add_argument("-v", "--verbose", action="store_true", help="log what is done; show tracebacks of failures")
    return sub
