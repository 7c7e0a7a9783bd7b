"""The command line `fusion-studio`: one table of commands (`engines.cli.table`), one parser.

    fusion-studio caption photo.jpg --language de
    fusion-studio transcribe talks/ --output-dir subtitles --format srt,vtt
    fusion-studio ask clip.mp4 "What can be heard?" --json
    fusion-studio index ~/Pictures pictures.db
    fusion-studio search pictures.db "a dog on the beach" --paths -0 | xargs -0 ls

`python -m engines ...` is the same program. Results go to standard output, progress and what went wrong to standard
error. Exit codes:

    0    done
    1    something failed; each failure is one sentence on standard error, and whatever could be done is done
    2    wrong usage: also a wrong value of an option, such as an unknown language
    130  stopped with Ctrl-C
    141  whatever read the output has gone away (`| head`)

Models and torch are imported by the command that needs them, so `--help` answers at once.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from itertools import takewhile

from engines.cli import process
from engines.cli.models import Open, open_models
from engines.cli.table import COMMANDS, COMMON_FLAGS, command_parser, parser, plain_after_dashes
from engines.errors import UserError

__all__ = ["main"]


def main(argv: Sequence[str] | None = None, *, opener: Open = open_models) -> int:
    """Run one command and return its exit code. argv: the command and its arguments, without the program's name.

    opener: makes a host of routes (task → model) and settings.
    """
    process.open_streams()
    process.use_utf8()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        with process.ends_on_ctrl_c(for_good=argv is None):
            try:
                return _run(words, opener)
            finally:
                sys.stdout.flush()
    except BrokenPipeError:
        process.forget_output()
        return process.CLOSED_PIPE
    except OSError as error:
        if not process.is_of_output(error):
            raise
        process.forget_output()
        print(f"standard output cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    except UserError as error:
        print(error.en, file=sys.stderr)
        return process.WRONG_USAGE if isinstance(error, process.WrongUsage) else 1
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return process.STOPPED


def _run(words: list[str], opener: Open) -> int:
    """Find the command and run it. Raises SystemExit for --help, --version and wrong usage."""
    flags = list(takewhile(COMMON_FLAGS.__contains__, words))
    rest = words[len(flags) :]
    command = next((command for command in COMMANDS if rest[:1] == [command.name]), None)
    if command is None:
        parser().parse_args(rest)  # shows the help or the version, or says what is wrong, and leaves
        raise AssertionError("the parser took a command that is not in the table")
    if command.program is not None:
        return command.program(rest[1:])
    assert command.run is not None, command.name
    options = command_parser(command).parse_intermixed_args([*flags, *plain_after_dashes(rest[1:])])
    logging.basicConfig(
        level=logging.INFO if options.verbose else logging.ERROR if options.quiet else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
    )
    options.opener = opener
    return command.run(options)
